package loadreport

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"prefork/cmd/prefork/internal/human"
	"prefork/internal/load"
)

// longestFile bounds what Read takes: a day's series has some 20 MB.
const longestFile = 64 << 20

// Read reads a result that --json wrote; "-" is the standard input. It refuses
// any version but load.ResultVersion, since a field of another may mean
// something else, and ignores fields that it does not know, since adding one
// makes no new version.
func Read(path string) (*load.Result, error) {
	if path == "-" {
		return readFrom(os.Stdin, "standard input", longestFile)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read result: %w", err)
	}
	defer f.Close()
	return readFrom(f, path, longestFile)
}

func readFrom(in io.Reader, name string, most int) (*load.Result, error) {
	text, err := io.ReadAll(io.LimitReader(in, int64(most)+1))
	if err != nil {
		return nil, fmt.Errorf("read result %s: %w", name, err)
	}
	if len(text) > most {
		return nil, fmt.Errorf("read result %s: it is longer than %s", name, human.Bytes(uint64(most)))
	}
	r, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("read result %s: %w", name, err)
	}
	return r, nil
}

func decode(text []byte) (*load.Result, error) {
	var head struct {
		Version *int `json:"version"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, fmt.Errorf("it is not the JSON of a load run: %w", err)
	}
	switch {
	case head.Version == nil:
		return nil, errors.New("it is not the result of a load run: it has no version")
	case *head.Version > load.ResultVersion:
		return nil, fmt.Errorf("it has version %d, and this prefork knows %d: a newer one wrote it", *head.Version, load.ResultVersion)
	case *head.Version < load.ResultVersion:
		return nil, fmt.Errorf("it has version %d, and this prefork knows %d: an older one wrote it", *head.Version, load.ResultVersion)
	}
	r := &load.Result{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	return r, nil
}

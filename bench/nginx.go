package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// nginxSettings keep everything in its directory. It accepts all that wait at once: if
// it came to one between two rounds of requests, as it does by itself, the last of 32
// connections would wait for 31 rounds, and the tail of a short run would be about who
// connected first.
const nginxSettings = `daemon off;
PROCESSES
pid nginx.pid;
error_log stderr warn;
events { worker_connections 4096; multi_accept on; }
http {
  access_log off;
  sendfile on;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  default_type text/plain;
  keepalive_requests 1000000000;
  gzip_comp_level 6; gzip_min_length 0; gzip_types text/plain;
  server {
    listen LISTEN;
    root ROOT;
    location = /healthz { add_header Cache-Control no-store; return 200 "ok\n"; }
    location = /gzip { gzip on; try_files /large.txt =404; }
  }
}
`

// startNginx starts nginx with so many processes that serve; several have a listener
// each (reuseport), as the other peers do.
func (b *bench) startNginx(ctx context.Context, processes int) (*server, error) {
	dir, err := os.MkdirTemp(b.dir, "n")
	if err != nil {
		return nil, err
	}
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	how, listen := "master_process off;", address
	if processes > 1 {
		how, listen = "worker_processes "+strconv.Itoa(processes)+";", address+" reuseport"
		if os.Geteuid() == 0 {
			how += " user root;" // the files are in a directory of this user
		}
	}
	text := strings.NewReplacer("PROCESSES", how, "LISTEN", listen, "ROOT", b.site.root).Replace(nginxSettings)
	settings := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(settings, []byte(text), 0o644); err != nil {
		return nil, err
	}
	// Its master ends its workers when it is told to end, and only then.
	s, err := b.launch(nginxName(processes), exec.Command(b.programs[nginxProgram], "-p", dir, "-c", settings, "-e", "stderr"), syscall.SIGTERM)
	if err != nil {
		return nil, err
	}
	s.address = address
	if err := s.awaitListeners(ctx, processes); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// freeAddress returns an address whose port was free a moment ago, for a server that
// cannot say which one it got.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// Package value reads and writes sizes, durations and other values as a
// configuration has them. They come from TOML or, as strings, from a command line; the text of each can be read back.
package value

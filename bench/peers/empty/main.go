// Empty is the floor of a Go process: the runtime starts and ends.
package main

func main() {}

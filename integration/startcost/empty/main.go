// Command empty does nothing: what it costs, Go's runtime costs.
package main

func main() {}

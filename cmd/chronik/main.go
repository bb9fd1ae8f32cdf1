// Command chronik is everything in one binary: the server and the tools.
package main

import (
	"os"

	"chronik/internal/cli"
)

func main() {
	os.Exit(cli.Run(cli.Chronik, os.Args[1:]))
}

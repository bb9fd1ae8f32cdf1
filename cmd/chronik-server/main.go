// Command chronik-server runs a broker.
package main

import (
	"os"

	"chronik/internal/cli"
)

func main() {
	os.Exit(cli.Run(cli.Server, os.Args[1:]))
}

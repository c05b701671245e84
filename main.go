// Hookwheel sends webhooks: it takes events over HTTP, keeps them in a replicated log and delivers each, signed, to every
// endpoint that wants it, until the endpoint says 2xx or its retry schedule ends.
package main

import (
	"os"

	"hookwheel/cli"
)

// version is set by the linker in releases.
var version = "dev"

func main() { os.Exit(cli.Main(version)) }

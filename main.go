// Hookwheel sends webhooks: it accepts events over HTTP, stores them in a replicated log and
// delivers each one, signed, to every endpoint that subscribes to it, retrying until the endpoint
// returns a 2xx or the retry schedule is exhausted.
package main

import (
	"os"

	"hookwheel/cli"
)

// version is set by the linker in releases; otherwise the build information says it.
var version string

func main() { os.Exit(cli.Main(version)) }

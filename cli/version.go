package cli

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"
	"golang.org/x/mod/module"
)

// build describes this binary.
type build struct {
	version  string
	revision string // of the version control system; empty if it is unknown
	modified bool   // since that revision
}

// newBuild returns what is known of this binary. linked is the version that a release was linked
// with; without it, the version is that of the module, or "dev" and the revision.
func newBuild(linked string) build {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		info = new(debug.BuildInfo)
	}
	return buildOf(linked, info)
}

func buildOf(linked string, info *debug.BuildInfo) build {
	b := build{version: linked}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.revision = setting.Value[:min(12, len(setting.Value))]
		case "vcs.modified":
			b.modified = setting.Value == "true"
		}
	}
	if b.version == "" {
		b.version = b.fromModule(info.Main.Version)
	}
	return b
}

func (b build) fromModule(version string) string {
	switch {
	case version != "" && version != "(devel)" && !module.IsPseudoVersion(version):
		return version
	case b.revision == "":
		return "dev"
	case b.modified:
		return "dev-" + b.revision + "-modified"
	default:
		return "dev-" + b.revision
	}
}

func (b build) String() string {
	text := "hookwheel " + b.version + "\n"
	if b.revision != "" {
		text += "revision  " + b.revision
		if b.modified {
			text += " (modified)"
		}
		text += "\n"
	}
	return text + fmt.Sprintf("built with %s for %s/%s\n", runtime.Version(), runtime.GOOS, runtime.GOARCH)
}

func newVersionCommand(b build) *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Show the version of this program",
		Example: "  hookwheel version",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprint(cmd.OutOrStdout(), b)
			return err
		},
	}
}

// addVersionFlag gives root the flag that many programs have. Cobra's own needs a template, see
// printUsage.
func addVersionFlag(root *cobra.Command, b build) {
	show := root.Flags().BoolP("version", "v", false, "version for hookwheel")
	help := root.RunE
	root.RunE = func(cmd *cobra.Command, args []string) error {
		if !*show {
			return help(cmd, args)
		}
		_, err := fmt.Fprint(cmd.OutOrStdout(), b)
		return err
	}
}

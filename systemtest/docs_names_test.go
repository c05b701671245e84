package systemtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"hookwheel/cli"
	"hookwheel/config"
	"hookwheel/httpapi/apitest"
)

var (
	codeSpan    = regexp.MustCompile("`([^`\n]+)`")
	settingName = regexp.MustCompile(`^(api|portal|cluster|storage|delivery|limits|backup|tracing|log)(\.[a-z_]+)+$`)
	operation   = regexp.MustCompile(`^(GET|POST|PUT|PATCH|DELETE|HEAD) (/api/v1|…)?(/[^ ?]*)`)
)

// Commands, flags, settings and operations that the text of the documentation names exist.
func TestDocsNames(t *testing.T) {
	operations, err := apitest.Operations()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range documentation(t) {
		text := strings.Join(p.prose(), "\n")
		for _, match := range codeSpan.FindAllStringSubmatch(text, -1) {
			name := match[1]
			var err error
			switch {
			case strings.HasPrefix(name, "hookwheel "):
				err = commandExists(name)
			case settingName.MatchString(name) && !strings.HasSuffix(name, ".go"):
				err = settingExists(name)
			case operation.MatchString(name):
				err = operationExists(operations, operation.FindStringSubmatch(name))
			}
			if err != nil {
				t.Errorf("%s: `%s`: %v", p.path, name, err)
			}
		}
	}
}

// commandExists looks for a command and its flags. What is not a command or a flag is an argument.
func commandExists(line string) error {
	words := strings.Fields(line)[1:]
	cmd, rest, err := cli.New("").Find(words)
	if err != nil {
		return err
	}
	if cmd.DisableFlagsInUseLine && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		return fmt.Errorf("%s has no command %s", cmd.CommandPath(), rest[0])
	}
	cmd.InitDefaultHelpFlag()
	cmd.InitDefaultVersionFlag()
	for _, word := range rest {
		flag, isFlag := strings.CutPrefix(word, "--")
		flag, _, _ = strings.Cut(flag, "=")
		if isFlag && cmd.Flag(flag) == nil {
			return fmt.Errorf("%s has no flag --%s", cmd.CommandPath(), flag)
		}
	}
	return nil
}

// settingExists looks for a setting, or a block of settings.
func settingExists(name string) error {
	standard := config.Default()
	names := []string{"delivery.retry.base", "delivery.retry.factor", "delivery.retry.max_retries", "cluster.secret"}
	for _, setting := range standard.Effective() {
		names = append(names, setting.Name)
	}
	if !slices.ContainsFunc(names, func(known string) bool { return known == name || strings.HasPrefix(known, name+".") }) {
		return errors.New("there is no such setting")
	}
	return nil
}

// operationExists looks for a method and a path, which may begin with "…" or without /api/v1.
func operationExists(operations map[apitest.Operation]json.RawMessage, match []string) error {
	method, path := match[1], strings.TrimRight(match[3], ".,")
	for known := range operations {
		isSame := known.Path == "/api/v1"+path || known.Path == path || match[2] == "…" && strings.HasSuffix(known.Path, path)
		if isSame && (known.Method == method || method == http.MethodHead) {
			return nil
		}
	}
	return errors.New("the API has no such operation")
}

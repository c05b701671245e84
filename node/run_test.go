package node

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"

	"hookwheel/config"
)

func TestLogFormat(t *testing.T) {
	var out bytes.Buffer
	c := config.Default()
	newLog(&out, &c, slog.LevelInfo).Info("text", "a", 1)
	if !strings.Contains(out.String(), "msg=text node=n1 a=1") {
		t.Errorf("text: %s", &out)
	}
	out.Reset()
	c.LogJSON = true
	newLog(&out, &c, slog.LevelInfo).Info("two\nlines")
	var line struct{ Msg, Node string }
	if err := json.Unmarshal(out.Bytes(), &line); err != nil || line.Msg != "two\nlines" || line.Node != "n1" {
		t.Errorf("JSON: %s, %v", &out, err)
	}
}

package systemtest

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"hookwheel/backup/s3test"
	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

const backupKey = "0123456789abcdef0123456789abcdef-backup"

// withBackups adds to the configuration of a node that it makes backups.
func withBackups(t *testing.T, config string, s *s3test.Server) string {
	t.Helper()
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	const none = "  # to = \"s3://acme-backups/hookwheel\"\n"
	if !strings.Contains(string(text), none) {
		t.Fatalf("config.example.hcl no longer has %s", none)
	}
	settings := strings.NewReplacer(none, `  to = "s3://`+s3test.Bucket+`/hookwheel"`+"\n"+`  encryption_key = "`+backupKey+`"`+"\n",
		"  s3 {\n", "  s3 {\n endpoint = \""+s.URL+"\"\n access_key_id = \""+s3test.ID+"\"\n secret_access_key = \""+s3test.Secret+"\"\n")
	return writeConfig(t, settings.Replace(string(text)))
}

// A leader that is killed while it makes a backup has none made twice and none lost; what was
// pending is delivered by a cluster that is restored from object storage.
func TestBackupToObjectStorage(t *testing.T) {
	t.Parallel()
	down := newReceiver(t)
	down.down.Store(true)
	s := s3test.Start(t)
	reached, killed := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(killed) })
	t.Cleanup(release)
	var first sync.Once
	s.Intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != "PUT" {
			return false
		}
		isFirst := false
		first.Do(func() { isFirst = true })
		if isFirst {
			close(reached)
			<-killed
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return isFirst
	})
	port := process.FreePorts(t, clusterSize)
	c := newCaller(t, port, clusterSize)
	configs, nodes := make([]string, clusterSize+1), make([]*process.Process, clusterSize+1)
	for node := 1; node <= clusterSize; node++ {
		configs[node] = withBackups(t, serveConfig(t, node, port, t.TempDir()), s)
		nodes[node] = process.Start(t, "serve", "--config", configs[node])
		nodes[node].MayCrash = true
	}
	old := c.awaitHealth(t, 1, 2, 3)
	wait.For(t, "the leader has begun a backup", func() bool {
		select {
		case <-reached:
			return true
		default:
			return false
		}
	})
	if err := nodes[old].Cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	<-nodes[old].Ended
	release()
	leader := c.awaitHealth(t, old%clusterSize+1, (old+1)%clusterSize+1)
	names := func(args ...string) []string {
		t.Helper()
		listed, said, err := command(t, nil, append([]string{"backup", "list", "--config", configs[1]}, args...)...)
		if err != nil {
			t.Fatalf("%v\n%s", err, said)
		}
		var found []string
		for line := range strings.Lines(listed) {
			if fields := strings.Fields(line); strings.HasPrefix(fields[len(fields)-1], "s3://") {
				found = append(found, fields[len(fields)-1])
			}
		}
		return found
	}
	wait.For(t, "the next leader has made the backup", func() bool { return len(names()) == 1 })

	nodes[old] = process.Start(t, "serve", "--config", configs[old])
	leader = c.awaitHealth(t, 1, 2, 3)
	c.setUp(t, "down", down.url)
	l := newLedger()
	for range 10 {
		l.mustPost(t, c, leader)
	}
	if _, said, err := command(t, nil, "backup", "--config", configs[1], "--url", c.nodes[old-1], "--token", systemToken); err != nil || !strings.Contains(said, ", encrypted.") {
		t.Fatalf("backup: %v\n%s", err, said)
	}
	nodes[leader].Stop(t)
	left := []int{leader%clusterSize + 1, (leader+1)%clusterSize + 1}
	next := c.awaitHealth(t, left...)
	wait.For(t, "the third leader has looked for backups", func() bool {
		response, err := http.Get(c.nodes[next-1] + "/metrics")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		text, err := io.ReadAll(response.Body)
		return err == nil && !strings.Contains(string(text), "hookwheel_backup_last_success_timestamp_seconds 0\n")
	})
	made := names("s3://" + s3test.Bucket + "/hookwheel")
	if len(made) != 2 || !strings.Contains(made[0], "-scheduled-") || !strings.Contains(made[1], "-manual-") {
		t.Fatalf("made: %v", made)
	}
	for _, node := range left {
		nodes[node].Stop(t)
	}

	if out, said, err := command(t, nil, "backup", "verify", "--config", configs[1], made[1]); err != nil || !strings.Contains(out, ": ok (") || !strings.Contains(out, "10 messages") {
		t.Errorf("verify: %v\n%s%s", err, out, said)
	}
	data := filepath.Join(t.TempDir(), "new")
	for what, test := range map[string]struct {
		args []string
		want string
	}{
		"another key":    {[]string{"HOOKWHEEL_BACKUP_ENCRYPTION_KEY=" + strings.Repeat("x", 32)}, "encrypted with another key"},
		"another secret": {[]string{"HOOKWHEEL_BACKUP_S3_SECRET_ACCESS_KEY=other"}, "check access_key_id and secret_access_key"},
	} {
		cmd := process.Command(process.Context(t), "restore", "--config", withData(t, configs[1], data), "--from", "s3://"+s3test.Bucket+"/hookwheel")
		cmd.Env = append(cmd.Env, test.args...)
		if said, err := cmd.CombinedOutput(); err == nil || !strings.Contains(string(said), test.want) || strings.Contains(string(said), s3test.Secret) {
			t.Errorf("%s: %v\n%s", what, err, said)
		}
		if entries, err := os.ReadDir(data); err == nil && len(entries) > 0 {
			t.Errorf("%s left %v", what, entries)
		}
	}
	restored := withData(t, configs[1], data)
	restore := []string{"restore", "--config", restored, "--from", "s3://" + s3test.Bucket + "/hookwheel"}
	if _, said, err := command(t, nil, restore...); err != nil {
		t.Fatalf("restore: %v\n%s", err, said)
	}
	if _, said, err := command(t, nil, restore...); err == nil || !strings.Contains(said, "is not empty") {
		t.Errorf("restored into a folder that is not empty: %v\n%s", err, said)
	}
	down.down.Store(false)
	process.Start(t, "serve", "--config", restored)
	c.awaitHealth(t, 1)
	checkDelivered(t, l, down)
	wait.For(t, "the new cluster has made a backup of its own", func() bool { return len(names()) == 3 })
}

// withData changes the data folder of a configuration.
func withData(t *testing.T, config, data string) string {
	t.Helper()
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "data = ") {
			line = "data = \"" + data + "\"\n"
		}
		lines = append(lines, line)
	}
	return writeConfig(t, strings.Join(lines, ""))
}

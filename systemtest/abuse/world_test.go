package abuse

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hookwheel/delivery/receivertest"
	"hookwheel/systemtest/process"
	"hookwheel/systemtest/wait"
)

const (
	rootToken     = "root-token-of-the-abuse-suite"
	clusterSecret = "secret-of-the-abuse-suite-0123456789"
	jwtSecret     = "signing-secret-of-the-abuse-suite"
	encryptionKey = "encryption-key-of-the-abuse-suite-0123"

	callLimit   = time.Minute
	descriptors = 2000 // of a single node
	maxSize     = 48 << 20
)

// world is what is attacked: the nodes, and the other users of them.
type world struct {
	t         *testing.T // of the abuse under way
	secure    bool       // whether there is TLS, on all ports
	nodes     []*node
	http      http.Client
	bystander *bystander
	hoarder   customer   // has large messages, so that those who list them need not send them first
	crowd     customer   // has crowdSize endpoints that refuse, and messages that were attempted there, likewise
	crowded   string     // the id of one of these messages
	readers   []customer // see grow
	sites     *sites
	customers atomic.Int32 // made so far

	mu        sync.Mutex
	dialled   []net.Conn  // oldest first
	responses map[int]int // to the attacker, by status; 0: the connection was closed
	secrets   []string    // what must not be in a log
	logs      []string    // files
	producer  string      // token
}

// node is a process and how to reach it.
type node struct {
	name    string
	api     string // host:port
	peers   string // host:port for the other nodes; nobody listens there on a single node without TLS
	data    string
	config  string
	process *process.Process
}

// newWorld starts so many nodes.
func newWorld(t *testing.T, size int, secure bool) *world {
	t.Helper()
	w := &world{t: t, secure: secure, responses: make(map[int]int), secrets: []string{rootToken, clusterSecret, jwtSecret, encryptionKey},
		http: http.Client{Timeout: callLimit, Transport: &http.Transport{MaxIdleConnsPerHost: 64, MaxConnsPerHost: 512, TLSClientConfig: anyServer}}}
	t.Cleanup(w.http.CloseIdleConnections)
	w.sites = newSites(t)
	base, dir := process.FreePorts(t, size), t.TempDir()
	for i := 1; i <= size; i++ {
		n := &node{name: "n" + strconv.Itoa(i), api: process.NodeAddress(base, i), peers: process.PeerAddress(base, i)}
		n.data, n.config = filepath.Join(dir, n.name), filepath.Join(dir, n.name+".hcl")
		w.nodes = append(w.nodes, n)
	}
	if w.secure {
		makeCertificates(t, dir)
	}
	for _, n := range w.nodes {
		if err := os.WriteFile(n.config, []byte(w.configuration(n)), 0o600); err != nil {
			t.Fatal(err)
		}
		w.start(n)
	}
	w.awaitWell()
	var key struct{ Token string }
	w.must("POST", "/key", `{"name": "producer", "role": "producer"}`, &key)
	w.producer = w.secret(key.Token)
	w.hoarder = w.customer()
	w.endpoints(w.hoarder, 1, w.sites.good)
	for range long(12, 48) {
		w.send(w.hoarder, 1<<20-1000)
	}
	w.crowd = w.customer()
	each(16, crowdSize, func(i int) {
		if r := w.call(0, rootToken, "POST", w.crowd.path("/endpoint"), fmt.Sprintf(`{"uid": "e%d", "url": %q}`, i, w.sites.refusing)); r.status != http.StatusCreated {
			t.Errorf("an endpoint of the crowd: %s", r)
		}
	})
	for range 3 {
		w.crowded = w.send(w.crowd, 10)
	}
	if size > 1 {
		w.grow()
	}
	w.bystander = newBystander(w)
	return w
}

const crowdSize = 500

// configuration is what serve reads. A single node has little of what can run out.
func (w *world) configuration(n *node) string {
	var text strings.Builder
	level := "debug" // in which all that a log can say is searched for secrets
	if *turnsFlag > 1 {
		level = "info" // as it is by default, since times are compared
	}
	fmt.Fprintf(&text, "node = %q\ndata = %q\nlog_level = %q\nencryption_keys = [%q]\n", n.name, n.data, level, encryptionKey)
	fmt.Fprintf(&text, "api {\n listen = %q\n token = %q\n jwt_secret = %q\n drain = \"0s\"\n%s}\n", n.api, rootToken, jwtSecret, w.tlsBlock(n, apiName))
	if len(w.nodes) > 1 || w.secure {
		fmt.Fprintf(&text, "cluster {\n secret = %q\n%s", clusterSecret, w.tlsBlock(n, n.name))
		for _, peer := range w.nodes {
			fmt.Fprintf(&text, " peer %q { address = %q }\n", peer.name, peer.peers)
		}
		text.WriteString("}\nstorage { min_free = \"64MiB\" }\n")
		text.WriteString("delivery { allow = [\"127.0.0.0/8\"] }\n")
	} else {
		fmt.Fprintf(&text, "storage {\n min_free = \"64MiB\"\n max_size = %d\n}\n", maxSize)
		text.WriteString("delivery {\n allow = [\"127.0.0.0/8\"]\n workers = 128\n}\n")
	}
	return text.String()
}

// start starts a node, or starts it again. A single one may not open many files.
func (w *world) start(n *node) {
	w.t.Helper()
	cmd := process.Command(process.Context(w.t), "serve", "--config", n.config)
	if len(w.nodes) == 1 && !w.secure {
		limited := exec.CommandContext(process.Context(w.t), "sh", append([]string{"-c", fmt.Sprintf(`ulimit -n %d; exec "$@"`, descriptors), "sh"}, cmd.Args...)...)
		limited.Env = cmd.Env
		cmd = limited
	}
	n.process = process.StartCommand(w.t, cmd)
	w.logs = append(w.logs, n.process.Log)
}

// tool runs a command of hookwheel to its end.
func (w *world) tool(args ...string) (string, error) {
	cmd := process.Command(process.Context(w.t), args...)
	cmd.Env = append(cmd.Env, "HOOKWHEEL_URL="+w.url(w.nodes[0]), "HOOKWHEEL_TOKEN="+rootToken)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// awaitWell waits until all nodes answer and agree on a leader.
func (w *world) awaitWell() {
	w.t.Helper()
	wait.For(w.t, "all nodes are well and agree on a leader", func() bool {
		leaders := make(map[string]bool)
		for i := range w.nodes {
			var h struct{ Status, Leader string }
			r := w.call(i, rootToken, "GET", "/health", "")
			if r.status != http.StatusOK || json.Unmarshal(r.body, &h) != nil || h.Status != "ok" {
				return false
			}
			leaders[h.Leader] = true
		}
		return len(leaders) == 1
	})
}

// reply is the answer to a call; status 0: there was none.
type reply struct {
	status int
	code   string // of an error
	header http.Header
	body   []byte
}

func (r reply) String() string { return fmt.Sprintf("%d %.300s", r.status, r.body) }

// call calls a node. What goes wrong with the connection is status 0.
func (w *world) call(i int, token, method, path, body string) (r reply) {
	request, err := http.NewRequest(method, w.url(w.nodes[i])+"/api/v1"+path, strings.NewReader(body))
	if err != nil {
		w.t.Error(err)
		return r
	}
	return w.do(request, token)
}

// do makes a request.
func (w *world) do(request *http.Request, token string) (r reply) {
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := w.http.Do(request)
	if err != nil {
		return r
	}
	defer response.Body.Close()
	r.status, r.header = response.StatusCode, response.Header
	if r.body, err = io.ReadAll(response.Body); err != nil {
		r.status = 0
	}
	var problem struct{ Code string }
	if r.status >= 400 && json.Unmarshal(r.body, &problem) == nil {
		r.code = problem.Code
	}
	return r
}

// attack is a call by the attacker, to any node, whose answer counts.
func (w *world) attack(token, method, path, body string) reply {
	r := w.call(int(w.customers.Add(1))%len(w.nodes), token, method, path, body)
	w.count(r.status)
	return r
}

func (w *world) count(status int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.responses[status]++
}

// refused is an attack that must be answered with this status and code.
func (w *world) refused(status int, code, token, method, path, body string) {
	w.t.Helper()
	if r := w.attack(token, method, path, body); r.status != status || code != "" && r.code != code {
		w.t.Errorf("%s %.100s %.100s: got %s, want %d %s", method, path, body, r, status, code)
	}
}

// allowed is an attack that must succeed; out, which may be nil, takes the answer.
func (w *world) allowed(token, method, path, body string, out any) {
	w.t.Helper()
	r := w.attack(token, method, path, body)
	if r.status/100 != 2 {
		w.t.Fatalf("%s %.100s %.100s: got %s", method, path, body, r)
	}
	w.decode(r, out)
}

// must is a call by the operator that must succeed.
func (w *world) must(method, path, body string, out any) {
	w.t.Helper()
	r := w.call(0, rootToken, method, path, body)
	if r.status/100 != 2 {
		w.t.Fatalf("%s %s: got %s", method, path, r)
	}
	w.decode(r, out)
}

func (w *world) decode(r reply, out any) {
	w.t.Helper()
	if out == nil {
		return
	}
	if err := json.Unmarshal(r.body, out); err != nil {
		w.t.Fatalf("%v in %s", err, r)
	}
}

// secret notes what must not be in a log.
func (w *world) secret(s string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.secrets = append(w.secrets, s)
	return s
}

// customer is an application with the tokens of its portal.
type customer struct{ app, portal, reader string }

// customer creates an application and the tokens of its portal.
func (w *world) customer() (c customer) {
	w.t.Helper()
	c.app = "customer" + strconv.Itoa(int(w.customers.Add(1)))
	w.must("POST", "/app", fmt.Sprintf(`{"name": %q, "uid": %q}`, c.app, c.app), nil)
	var access struct{ Token string }
	w.must("POST", "/auth/app-portal-access/"+c.app, `{}`, &access)
	c.portal = w.secret(access.Token)
	w.must("POST", "/auth/app-portal-access/"+c.app, `{"readOnly": true}`, &access)
	c.reader = w.secret(access.Token)
	return c
}

// leave removes a customer.
func (w *world) leave(c customer) {
	w.t.Helper()
	w.must("DELETE", "/app/"+c.app, "", nil)
}

// path is one in the API below the application.
func (c customer) path(format string, args ...any) string {
	return "/app/" + c.app + fmt.Sprintf(format, args...)
}

// endpoints creates n endpoints of the customer, e0, e1, …, with this URL.
func (w *world) endpoints(c customer, n int, url string) {
	w.t.Helper()
	each(16, n, func(i int) {
		w.attack(c.portal, "POST", c.path("/endpoint"), fmt.Sprintf(`{"uid": "e%d", "url": %q}`, i, url))
	})
}

// send sends an event of about size bytes to the customer, as the producer, and returns its id.
func (w *world) send(c customer, size int) (id string) {
	w.t.Helper()
	var message struct{ ID string }
	w.allowed(w.producer, "POST", c.path("/msg"), `{"eventType": "a.b", "payload": {"pad": "`+strings.Repeat("x", size)+`"}}`, &message)
	return message.ID
}

// each does n things, so many at once.
func each(atOnce, n int, do func(i int)) {
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(atOnce, n) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(n); i = next.Add(1) - 1 {
				do(int(i))
			}
		})
	}
	wg.Wait()
}

// maxDialled is how many connections of dial stay open: the test has descriptors of its own to
// save.
const maxDialled = 4 * descriptors

// dial opens a connection that the end of the abuse closes, or maxDialled further ones.
func (w *world) dial(address string) net.Conn {
	conn, err := net.DialTimeout("tcp", address, 10*time.Second)
	if err != nil {
		w.count(0)
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.dialled) == 0 {
		w.t.Cleanup(w.hangUp)
	}
	if w.dialled = append(w.dialled, conn); len(w.dialled) > maxDialled {
		w.dialled[0].Close()
		w.dialled = w.dialled[1:]
	}
	return conn
}

func (w *world) hangUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, conn := range w.dialled {
		conn.Close()
	}
	w.dialled = nil
}

// raw sends bytes to a node's API and returns the status of the answer; 0: it closed the
// connection, or said nothing for so long.
func (w *world) raw(i int, patience time.Duration, request []byte) int {
	conn, err := net.DialTimeout("tcp", w.nodes[i].api, 10*time.Second)
	if err != nil {
		return 0
	}
	conn = w.secured(conn)
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		conn.Close()
		return 0
	}
	var wg sync.WaitGroup
	wg.Go(func() { // the node may not want all of it
		_, _ = conn.Write(request)
		_ = conn.(interface{ CloseWrite() error }).CloseWrite()
	})
	defer wg.Wait()
	defer conn.Close()
	return readStatus(conn)
}

var statusLine = regexp.MustCompile(`^HTTP/1\.[01] ([0-9]{3}) `)

func readStatus(conn net.Conn) int {
	head := make([]byte, 13)
	if _, err := io.ReadFull(conn, head); err != nil {
		return 0
	}
	match := statusLine.FindSubmatch(head)
	if match == nil {
		return -1 // no HTTP
	}
	status, _ := strconv.Atoi(string(match[1]))
	return status
}

// sites are the receivers of the attacker: URLs.
type sites struct{ good, hanging, refusing string }

func newSites(t *testing.T) *sites {
	over := make(chan struct{})
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		select {
		case <-over:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() {
		close(over)
		hanging.CloseClientConnections()
		hanging.Close()
	})
	return &sites{good: receivertest.Start(t, nil).URL + "/hook", hanging: hanging.URL + "/hook", refusing: "http://127.0.0.1:9/hook"}
}

func (n *node) proc(file string) string {
	return filepath.Join("/proc", strconv.Itoa(n.process.Cmd.Process.Pid), file)
}

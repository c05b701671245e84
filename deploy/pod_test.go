package deploy

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"hookwheel/systemtest/process"
)

// gateway is the address of the test in the network of its containers.
const gateway = "10.9.0.1"

// listen listens in the namespace of this process.
func listen(t *testing.T, address string) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", address)
	must(t, err)
	return l
}

// network is what the containers of a test share: a bridge, and DNS.
type network struct {
	mu    sync.Mutex
	names map[string]string // addresses
	last  int               // address given; none is given twice
}

// newNetwork makes the network, in the namespace of this process.
func newNetwork(t *testing.T) *network {
	n := &network{names: make(map[string]string), last: 10}
	shell(t, `ip link set lo up
		ip link add br0 type bridge
		ip addr add `+gateway+`/16 dev br0
		ip link set br0 up`)
	conn, err := net.ListenPacket("udp", gateway+":53")
	must(t, err)
	done := make(chan struct{})
	go func() {
		defer close(done)
		n.serveDNS(conn)
	}()
	t.Cleanup(func() {
		must(t, conn.Close())
		<-done
	})
	return n
}

func shell(t *testing.T, script string) {
	t.Helper()
	if out, err := exec.Command("sh", "-ec", script).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// serveDNS answers for the names that exist at the moment, as the DNS of Kubernetes does.
func (n *network) serveDNS(conn net.PacketConn) {
	buffer := make([]byte, 1500)
	for {
		size, from, err := conn.ReadFrom(buffer)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buffer[:size]) != nil || len(m.Questions) != 1 {
			continue
		}
		q := m.Questions[0]
		address := n.find(strings.TrimSuffix(q.Name.String(), "."))
		m.Response, m.Authoritative, m.RCode, m.Additionals = true, true, dnsmessage.RCodeSuccess, nil
		switch {
		case address == "":
			m.RCode = dnsmessage.RCodeNameError
		case q.Type == dnsmessage.TypeA:
			m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1},
				Body: &dnsmessage.AResource{A: [4]byte(net.ParseIP(address).To4())}}}
		}
		if packed, err := m.Pack(); err == nil {
			_, _ = conn.WriteTo(packed, from) // otherwise the client asks again
		}
	}
}

// find returns the address that a name has at the moment.
func (n *network) find(name string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.names[name]
}

// container is what to run: the image, with what its orchestrator adds.
type container struct {
	name     string   // in DNS
	env      []string // in addition to that of the image
	args     []string // instead of those of the image, if there are any
	data     string   // folder that is mounted at /data
	certs    string   // folder that is mounted at /certs, read-only; empty: none
	writable bool     // /certs is writable
	network  *network // nil: that of the test
}

// pod is a container that runs, in a network namespace of its own with a new address.
type pod struct {
	*process.Process
	address string
	inside  []string // command that enters its network
	env     []string
	root    string
	pause   *exec.Cmd // keeps the network
	network *network
	name    string
}

// imageSettings returns how the image says that it is run.
func imageSettings(t *testing.T) (config struct {
	User, StopSignal     string
	Env, Entrypoint, Cmd []string
	Healthcheck          struct{ Test []string }
	Volumes              map[string]struct{}
}) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(os.Getenv(imageVariable), "config.json"))
	must(t, err)
	whole := struct{ Config any }{&config}
	must(t, json.Unmarshal(text, &whole))
	return config
}

// mounts makes the file system of a container in a mount namespace: the image, read-only, and its
// volumes. Then it runs the rest as the user of the image.
const mounts = `root=$1 data=$2 certs=$3 mode=$4 user=$5; shift 5
	export OLD=$PATH PATH=/usr/sbin:/usr/bin:/sbin:/bin
	mount --bind "$root" "$root"
	mount -t proc proc "$root/proc"
	mount --bind "$data" "$root/data"
	[ -z "$certs" ] || { mount --bind "$certs" "$root/certs"; mount -o "remount,bind,$mode" "$root/certs"; }
	mount --bind "$TEST_RESOLV" "$root/etc/resolv.conf"
	mount -o remount,bind,ro "$root"
	unset TEST_RESOLV
	exec chroot --userspec="$user" --groups= "$root" "$@"`

// start runs a container until it is stopped.
func start(t *testing.T, c container) *pod {
	t.Helper()
	p := &pod{root: filepath.Join(os.Getenv(imageVariable), "rootfs"), network: c.network, name: c.name}
	image := imageSettings(t)
	p.env = slices.Concat(image.Env, c.env)
	if c.network != nil {
		c.network.join(t, p)
	}
	args := slices.Concat(image.Entrypoint, image.Cmd)
	if c.args != nil {
		args = slices.Concat(image.Entrypoint, c.args)
	}
	mode := "ro"
	if c.writable {
		mode = "rw"
	}
	resolv := filepath.Join(t.TempDir(), "resolv.conf")
	must(t, os.WriteFile(resolv, []byte("nameserver "+gateway+"\nsearch default.svc.cluster.local\noptions ndots:5\n"), 0o644))
	command := slices.Concat(p.inside, []string{"unshare", "--mount", "--propagation", "private", "sh", "-ec", mounts, "sh",
		p.root, c.data, c.certs, mode, image.User}, args)
	cmd := exec.CommandContext(process.Context(t), command[0], command[1:]...)
	if path, err := exec.LookPath(command[0]); err == nil {
		cmd.Path = path
	}
	cmd.Env = append(slices.Clone(p.env), "TEST_RESOLV="+resolv)
	cmd.Env = append(cmd.Env, "PATH="+os.Getenv("PATH"))
	p.Process = process.StartCommand(t, cmd)
	return p
}

// join gives a pod a network namespace and an address that no pod had before.
func (n *network) join(t *testing.T, p *pod) {
	t.Helper()
	p.pause = exec.Command("sleep", "infinity")
	p.pause.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	must(t, p.pause.Start())
	t.Cleanup(p.leave)
	n.mu.Lock()
	n.last++
	p.address = fmt.Sprintf("10.9.0.%d", n.last)
	link := fmt.Sprintf("pod%d", n.last)
	n.mu.Unlock()
	pid := fmt.Sprint(p.pause.Process.Pid)
	p.inside = []string{"nsenter", "--net=/proc/" + pid + "/ns/net"}
	shell(t, `ip link add `+link+` type veth peer name eth0 netns `+pid+`
		ip link set `+link+` master br0 up
		nsenter --net=/proc/`+pid+`/ns/net sh -ec "ip link set lo up; ip addr add `+p.address+`/16 dev eth0; ip link set eth0 up"`)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.names[p.name] = p.address
}

// leave takes the address of a pod away, without a word to those that are connected to it.
func (p *pod) leave() {
	if p.pause == nil {
		return
	}
	p.network.mu.Lock()
	if p.network.names[p.name] == p.address {
		delete(p.network.names, p.name)
	}
	p.network.mu.Unlock()
	_ = p.pause.Process.Kill()
	_ = p.pause.Wait()
	p.pause = nil
}

// end stops a pod as Kubernetes does, and takes its address away.
func (p *pod) end(t *testing.T) {
	t.Helper()
	if code := p.Stop(t); code != 0 {
		t.Errorf("%s ended with exit code %d", p.name, code)
	}
	p.leave()
}

// exec runs a command in a container that runs, as "docker exec" does.
func (p *pod) exec(ctx context.Context, args ...string) (string, error) {
	chroot, err := exec.LookPath("chroot") // which the PATH of the container lacks
	if err != nil {
		return "", err
	}
	command := slices.Concat(p.inside, []string{chroot, "--userspec=65532:65532", "--groups=", p.root}, args)
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = p.env
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// volume makes an empty volume as engines do: with the owner that the image gives the folder.
func volume(t *testing.T) string {
	t.Helper()
	folder, err := os.MkdirTemp("", "hookwheel-test-volume-")
	must(t, err)
	t.Cleanup(func() { must(t, os.RemoveAll(folder)) })
	must(t, os.Chown(folder, 65532, 65532))
	return folder
}

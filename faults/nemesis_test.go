package faults

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"hookwheel/systemtest/wait"
)

// nemesis does harm, one fault after the other, from a seeded source of randomness.
type nemesis struct {
	cluster *cluster
	history *history
	random  *rand.Rand
	leader  int
	only    []string // kinds; nil: all
	queue   []string // those to come
}

// harm is a kind of fault: it does the harm to the nodes and returns how to undo it. It may end
// with the harm undone, and then returns nil.
type harm struct {
	needs need
	pick  func(n *nemesis) []int
	do    func(n *nemesis, nodes []int) (undo func() error, err error)
	last  time.Duration // how long the harm lasts
}

// need is what nodes must have for a harm; most harms need nothing.
type need int

const (
	disks  need = 1 + iota // of their own
	clocks                 // that can jump
)

func leaderOnly(n *nemesis) []int { return []int{n.leader} }
func follower(n *nemesis) []int   { return []int{(n.leader + 1 + n.random.IntN(n.size()-1)) % n.size()} }
func any1(n *nemesis) []int       { return []int{n.random.IntN(n.size())} }
func any2(n *nemesis) []int       { i := n.random.IntN(n.size()); return []int{i, (i + 1) % n.size()} }
func all(n *nemesis) (list []int) {
	for i := range n.size() {
		list = append(list, i)
	}
	return list
}
func nobody(*nemesis) []int { return nil }

var harms = map[string]harm{
	"kill leader":           {pick: leaderOnly, do: (*nemesis).kill, last: time.Second},
	"kill follower":         {pick: follower, do: (*nemesis).kill, last: time.Second},
	"kill two":              {pick: any2, do: (*nemesis).kill, last: time.Second},
	"kill all":              {pick: all, do: (*nemesis).killAfterResponse},
	"freeze leader":         {pick: leaderOnly, do: (*nemesis).freeze, last: 4 * time.Second},
	"freeze follower":       {pick: follower, do: (*nemesis).freeze, last: 4 * time.Second},
	"leader cut off":        {pick: leaderOnly, do: (*nemesis).cutOff, last: 4 * time.Second},
	"follower cut off":      {pick: follower, do: (*nemesis).cutOff, last: 4 * time.Second},
	"one-way from leader":   {pick: leaderOnly, do: (*nemesis).mute, last: 4 * time.Second},
	"one-way to leader":     {pick: leaderOnly, do: (*nemesis).deafen, last: 4 * time.Second},
	"one link down":         {pick: any2, do: (*nemesis).unlink, last: 4 * time.Second},
	"silent connections":    {pick: follower, do: (*nemesis).silence},
	"latency and loss":      {pick: nobody, do: (*nemesis).disturb, last: 5 * time.Second},
	"rolling restart":       {pick: nobody, do: (*nemesis).roll},
	"restart leader":        {pick: leaderOnly, do: (*nemesis).restart},
	"wiped node":            {pick: any1, do: (*nemesis).wipe, last: time.Second},
	"log damaged of one":    {pick: any1, do: (*nemesis).damageLog, last: time.Second},
	"crash in leader's log": {pick: leaderOnly, do: (*nemesis).crashInLog, needs: clocks},
	"crash in a log":        {pick: any1, do: (*nemesis).crashInLog, needs: clocks},
	"power loss of one":     {pick: any1, do: (*nemesis).cutPower, last: time.Second, needs: disks},
	"power loss of all":     {pick: all, do: (*nemesis).cutPower, needs: disks},
	"disk short of leader":  {pick: leaderOnly, do: (*nemesis).fill, last: 4 * time.Second, needs: disks},
	"disk full of one":      {pick: any1, do: (*nemesis).fillUp, last: 3 * time.Second, needs: disks},
	"disk fails of one":     {pick: any1, do: (*nemesis).breakDisk, needs: disks},
	"disk slow of one":      {pick: any1, do: (*nemesis).hang, last: 4 * time.Second, needs: disks},
	"disk hangs of one":     {pick: any1, do: (*nemesis).hang, last: 14 * time.Second, needs: disks},
	"clocks jump":           {pick: nobody, do: (*nemesis).shiftClocks, last: 2 * time.Second, needs: clocks},
	"clock of one leaps":    {pick: any1, do: (*nemesis).leap, last: 2 * time.Second, needs: clocks},
	"clock of leader late":  {pick: leaderOnly, do: (*nemesis).beLate, needs: clocks},
	"hours pass":            {pick: nobody, do: (*nemesis).passHours, last: 2 * time.Second, needs: clocks},
}

// kind is the next to come. Each that can be done here comes once before any comes again.
func (n *nemesis) kind() string {
	if len(n.queue) == 0 {
		for _, name := range sortedKinds() {
			if n.has(harms[name].needs) && (n.only == nil || slices.Contains(n.only, name)) {
				n.queue = append(n.queue, name)
			}
		}
		n.random.Shuffle(len(n.queue), func(i, j int) { n.queue[i], n.queue[j] = n.queue[j], n.queue[i] })
	}
	if len(n.queue) == 0 {
		return ""
	}
	name := n.queue[0]
	n.queue = n.queue[1:]
	return name
}

func (n *nemesis) size() int { return len(n.cluster.nodes) }

func (n *nemesis) has(what need) bool {
	switch node := n.cluster.nodes[0]; what {
	case disks:
		return node.disk != nil
	case clocks:
		return node.clock != ""
	default:
		return true
	}
}

// strike does one harm, undoes it, and waits until all is well.
func (n *nemesis) strike() (f fault, err error) {
	f.Kind = n.kind()
	h, known := harms[f.Kind]
	if !known {
		return f, fmt.Errorf("no such fault can be done here; known are %s", strings.Join(sortedKinds(), ", "))
	}
	if n.leader, err = n.cluster.awaitWell(); err != nil {
		return f, err
	}
	f.Nodes = h.pick(n)
	f.Start = time.Now()
	undo, err := h.do(n, f.Nodes)
	if err == nil {
		time.Sleep(h.last)
		if undo != nil {
			err = undo()
		}
	}
	f.Healed = time.Now()
	if err == nil {
		_, err = n.cluster.awaitWell()
	}
	f.Well = time.Now()
	if err == nil {
		err = wait.Until(n.cluster.patience, "an event is acknowledged after the fault", func() bool {
			next := n.history.acknowledgedSince(f.Start, without(f, n.size()))
			f.Next = max(0, next.Sub(f.Start))
			return !next.IsZero()
		})
	}
	n.history.fault(f)
	return f, err
}

// without are the nodes whose answers do not count for the time to the next 202: those that are
// hit, unless all are.
func without(f fault, nodes int) []int {
	if len(f.Nodes) == nodes {
		return nil
	}
	return f.Nodes
}

// each does something to some nodes and joins the errors.
func (n *nemesis) each(nodes []int, do func(i int, node *node) error) (err error) {
	for _, i := range nodes {
		err = errors.Join(err, do(i, n.cluster.nodes[i]))
	}
	return err
}

func (n *nemesis) take(nodes []int) {
	for _, i := range nodes {
		n.cluster.nodes[i].down.Store(true)
	}
}

// restore starts nodes again.
func (n *nemesis) restore(nodes []int) error {
	return n.each(nodes, func(i int, node *node) error {
		defer node.down.Store(false)
		if err := n.cluster.start(i); err != nil {
			return err
		}
		return n.cluster.awaitResponse(i)
	})
}

func (n *nemesis) kill(nodes []int) (func() error, error) {
	n.take(nodes)
	for _, i := range nodes {
		n.cluster.nodes[i].signal(syscall.SIGKILL)
	}
	for _, i := range nodes {
		n.cluster.nodes[i].kill()
	}
	return func() error { return n.restore(nodes) }, nil
}

// killAfterResponse kills nodes when they have just told a producer that an event is stored.
func (n *nemesis) killAfterResponse(nodes []int) (func() error, error) {
	if err := n.history.awaitNext(n.cluster.patience); err != nil {
		return nil, err
	}
	return n.kill(nodes)
}

func (n *nemesis) freeze(nodes []int) (func() error, error) {
	n.take(nodes)
	for _, i := range nodes {
		n.cluster.nodes[i].signal(syscall.SIGSTOP)
	}
	return func() error {
		return n.each(nodes, func(_ int, node *node) error {
			node.signal(syscall.SIGCONT)
			node.down.Store(false)
			return nil
		})
	}, nil
}

func (n *nemesis) heal() error {
	n.cluster.network.heal()
	for _, node := range n.cluster.nodes {
		node.down.Store(false)
	}
	return nil
}

// cutOff isolates nodes. Producers leave them alone: what they take is held until they are back.
func (n *nemesis) cutOff(nodes []int) (func() error, error) {
	n.take(nodes)
	for _, i := range nodes {
		n.cluster.network.isolate(i, n.size())
	}
	return n.heal, nil
}

// mute has nothing that a node says arrive; deafen, nothing that is said to it.
func (n *nemesis) mute(nodes []int) (func() error, error) {
	n.take(nodes)
	for other := range n.size() {
		if other != nodes[0] {
			n.cluster.network.block(nodes[0], other)
		}
	}
	return n.heal, nil
}

func (n *nemesis) deafen(nodes []int) (func() error, error) {
	n.take(nodes)
	for other := range n.size() {
		if other != nodes[0] {
			n.cluster.network.block(other, nodes[0])
		}
	}
	return n.heal, nil
}

// unlink cuts two nodes off from each other; both see the third.
func (n *nemesis) unlink(nodes []int) (func() error, error) {
	n.cluster.network.block(nodes[0], nodes[1])
	n.cluster.network.block(nodes[1], nodes[0])
	return n.heal, nil
}

// silence has all connections between a follower and the leader carry nothing any more, without an
// end that a node could notice. New ones work.
func (n *nemesis) silence(nodes []int) (func() error, error) {
	n.cluster.network.silence(n.leader, nodes[0])
	return nil, nil
}

func (n *nemesis) disturb([]int) (func() error, error) {
	n.cluster.network.disturb(time.Duration(n.random.IntN(30))*time.Millisecond, 0.005)
	return n.heal, nil
}

// restart is SIGTERM and start, of one node after the other, each when the one before is well
// again.
func (n *nemesis) restart(nodes []int) (func() error, error) {
	for _, i := range nodes {
		node := n.cluster.nodes[i]
		node.down.Store(true)
		err := node.stop()
		if err == nil {
			err = n.cluster.start(i)
		}
		if err == nil {
			_, err = n.cluster.awaitWell()
		}
		node.down.Store(false)
		if err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func (n *nemesis) roll([]int) (func() error, error) { return n.restart(all(n)) }

// wipe takes a node's data away. It comes back by itself, as another server of the same name.
func (n *nemesis) wipe(nodes []int) (func() error, error) {
	undo, err := n.kill(nodes)
	err = errors.Join(err, n.each(nodes, func(_ int, node *node) error {
		return errors.Join(os.RemoveAll(filepath.Join(node.data, "store")), os.RemoveAll(filepath.Join(node.data, "raft")),
			os.RemoveAll(filepath.Join(node.data, "node.json")))
	}))
	return undo, err
}

// cutPower loses what is not on the disk.
func (n *nemesis) cutPower(nodes []int) (func() error, error) {
	n.take(nodes)
	err := n.each(nodes, func(_ int, node *node) error { return node.disk.cutPower() })
	for _, i := range nodes {
		n.cluster.nodes[i].kill()
	}
	err = errors.Join(err, n.each(nodes, func(_ int, node *node) error { return errors.Join(node.disk.detach(), node.disk.attach()) }))
	return func() error { return n.restore(nodes) }, err
}

// fill leaves less than the watermark: new events are refused everywhere, what was accepted is
// delivered.
func (n *nemesis) fill(nodes []int) (func() error, error) {
	n.take(all(n))
	if err := n.each(nodes, func(_ int, node *node) error { return node.disk.fill(50 << 20) }); err != nil {
		return nil, err
	}
	return func() error {
		defer n.heal()
		return n.each(nodes, func(_ int, node *node) error { return node.disk.makeRoom() })
	}, n.awaitRefusal()
}

func (n *nemesis) awaitRefusal() error {
	return wait.Until(failLimit, "events are refused as the disk of "+n.cluster.nodes[n.leader].name+" is short", func() bool {
		status, _, err := n.cluster.call((n.leader+1)%n.size(), "POST", "/app/app0/msg", map[string]any{"eventType": "full", "payload": json.RawMessage(probe)}, nil)
		return err == nil && status == 507
	})
}

// fillUp leaves nothing. The node may end, and then is started when there is room.
func (n *nemesis) fillUp(nodes []int) (func() error, error) {
	n.take(all(n))
	if err := n.each(nodes, func(_ int, node *node) error { return node.disk.fill(0) }); err != nil {
		return nil, err
	}
	return func() error {
		defer n.heal()
		return errors.Join(n.each(nodes, func(_ int, node *node) error { return node.disk.makeRoom() }), n.keepUp(nodes))
	}, nil
}

// keepUp starts nodes again that could not bear what was done to them, until all are well: one may
// be on its way out for a while.
func (n *nemesis) keepUp(nodes []int) error {
	_, err := n.cluster.helpUntilWell(func() error {
		return n.each(nodes, func(i int, node *node) error {
			if node.alive() {
				return nil
			}
			return n.cluster.start(i)
		})
	})
	return err
}

// breakDisk has everything that is asked of a disk fail. The node must end by itself.
func (n *nemesis) breakDisk(nodes []int) (func() error, error) {
	n.take(nodes)
	err := n.each(nodes, func(_ int, node *node) error {
		if err := node.disk.cutPower(); err != nil {
			return err
		}
		if err := node.awaitEnd(); err != nil {
			return fmt.Errorf("its disk has failed: %w", err)
		}
		return errors.Join(node.disk.detach(), node.disk.attach())
	})
	return func() error { return n.restore(nodes) }, err
}

// hang has writes wait. If that is for long the node must end, which it can when the disk answers
// again at the latest.
func (n *nemesis) hang(nodes []int) (func() error, error) {
	n.take(nodes)
	err := n.each(nodes, func(_ int, node *node) error { return node.disk.freeze() })
	return func() error {
		defer n.heal()
		return errors.Join(n.each(nodes, func(_ int, node *node) error { return node.disk.thaw() }), n.keepUp(nodes))
	}, err
}

// shiftClocks sets each node's clock wrong, and leaves it so for the faults to come.
func (n *nemesis) shiftClocks([]int) (func() error, error) {
	return nil, n.cluster.setClocks(func(int) int { return n.random.IntN(2*maxShift+1) - maxShift })
}

// leap has one clock be a day ahead for a moment.
func (n *nemesis) leap(nodes []int) (func() error, error) { return n.setClock(nodes[0], 24*60*60) }

// beLate sets the leader's clock back by half a minute until it has handed over.
func (n *nemesis) beLate(nodes []int) (func() error, error) {
	undo, err := n.setClock(nodes[0], -30)
	if err != nil {
		return nil, err
	}
	return undo, wait.Until(n.cluster.patience, "another node leads than "+n.cluster.nodes[nodes[0]].name+", whose clock is wrong", func() bool {
		leader, err := n.cluster.leader()
		return err == nil && leader != nodes[0]
	})
}

// passHours sets all clocks ahead permanently and causes a new election, as a new leader looks at
// once for expired messages: those that wait are counted as expired.
func (n *nemesis) passHours([]int) (func() error, error) {
	n.cluster.passed.Add(2 * 60 * 60)
	err := n.cluster.setClocks(func(int) int { return 0 })
	time.Sleep(3 * time.Second)                                               // until the nodes have told each other what time it is
	_, _, _ = n.cluster.call(n.leader, "POST", "/cluster/transfer", nil, nil) // else the leader looks within a minute
	return nil, err
}

// setClock sets the clock of one node wrong and all others right.
func (n *nemesis) setClock(wrong, seconds int) (undo func() error, err error) {
	err = n.cluster.setClocks(func(node int) int {
		if node == wrong {
			return seconds
		}
		return 0
	})
	return func() error { return n.cluster.setClocks(func(int) int { return 0 }) }, err
}

// maxShift is in seconds: retries that wait for a time may wait twice that long when leaders
// change.
const maxShift = 20

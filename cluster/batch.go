package cluster

import (
	"container/list"
	"context"
	"encoding/binary"
	"errors"
	"sync"
	"time"
)

// Limits of a batch. Beyond about a hundred commands, a larger entry saves nothing and only adds
// latency. Only one batch is in flight. With two, one being written while the other is applied,
// throughput is no higher, but there are twice as many entries of half the size: twice the syncs,
// which delay each other, and the load of one endpoint delays the others more.
const (
	maxBatchCommands = 128
	maxBatchBytes    = 256 << 10 // total cost of the commands; a command with a higher cost is sent alone
	maxCommand       = 16 << 20  // of one command
	largeCommand     = 16 << 10  // commands with a higher cost travel in batches of their own
	maxLargeBatch    = 64 << 10  // total cost of large commands in a batch while there are small ones
	commandOverhead  = 64

	// Callers whose commands shared a batch make their next ones at almost the same time. Without
	// waiting for these, the first of them would be sent alone, and the others in many small
	// batches: after a batch of more than fewCommands, the next one waits until as many have come,
	// for at most gatherTime. With fewer, batches are small because the node is quiet, and waiting
	// is only slow.
	gatherTime  = time.Millisecond
	fewCommands = 7
	patience    = 2 * time.Millisecond // how long a patient command waits for another, or twice as long
)

var (
	// errNotTaken means that the command is not in any log and never will be.
	errNotTaken = errors.New("cluster: no leader took the command")
	// errUnknown means that the command may or may not be applied later.
	errUnknown = errors.New("cluster: the leader was lost before it answered")
)

// proposal is a command in flight, for which a caller waits.
type proposal struct {
	command   Command
	patient   bool          // see StateMachine.IsPatient
	forwarded bool          // came from another node: if this node is not the leader, it is returned
	flow      string        // commands of different flows take turns
	cost      int           // see StateMachine.Cost
	place     *list.Element // in the queue; nil: it is not there
	done      chan struct{}
	outcome
}

// outcome is what became of a proposal.
type outcome struct {
	reply []byte
	delay time.Duration // before the caller gets the reply, see Config.Throttle
	err   error
}

func (p *proposal) finish(reply []byte, err error) {
	p.reply, p.err = reply, err
	close(p.done)
}

// batcher implements group commit: while a batch is in flight, the next one fills. Large commands
// travel in batches of their own. There is no order between small and large ones, nor between
// flows, and nobody relies on one: if the order matters, the caller proposes a command when the one
// before is finished.
type batcher struct {
	queues [2]*queue // of small commands, and of large ones
	gate   *gate
	leads  func() bool       // whether commit appends to the log of this node
	commit func([]*proposal) // finishes each
	ready  func(cost int)    // see StateMachine.Ready
}

func newBatcher(leads func() bool, ready func(cost int), commit func([]*proposal)) *batcher {
	return &batcher{queues: [2]*queue{newQueue(), newQueue()}, gate: newGate(), leads: leads, ready: ready, commit: commit}
}

// queue returns the queue for a command.
func (b *batcher) queue(p *proposal) *queue {
	if p.cost > largeCommand {
		return b.queues[large]
	}
	return b.queues[small]
}

// waiting returns how many commands wait for a batch.
func (b *batcher) waiting() int { return b.queues[small].len() + b.queues[large].len() }

// run returns after ctx ends and the batches in flight are finished. Proposals that still wait are
// finished with errNotTaken.
func (b *batcher) run(ctx context.Context) {
	var wg sync.WaitGroup
	for kind := range b.queues {
		wg.Go(func() { b.serve(ctx, kind) })
	}
	wg.Wait()
}

func (b *batcher) serve(ctx context.Context, kind int) {
	q := b.queues[kind]
	for q.await(ctx) {
		for again := true; again; {
			again = b.send(ctx, kind)
		}
	}
	for batch := q.take(maxBatchBytes); len(batch) > 0; batch = q.take(maxBatchBytes) {
		finishAll(batch, errNotTaken)
	}
}

// send commits a batch, unless all callers have given up, and then waits for the commands that the
// callers make next. It reports whether it must be called again. On a node that does not lead,
// small and large commands need not wait for each other: they do so on the leader.
func (b *batcher) send(ctx context.Context, kind int) (again bool) {
	q := b.queues[kind]
	if !b.leads() {
		b.gate.skip(kind) // the other kind may have entered while this node led
		if batch := q.take(maxBatchBytes); len(batch) > 0 {
			b.commit(batch)
		}
		return false
	}
	limit := maxBatchBytes
	if kind == large {
		limit = b.gate.pause(ctx)
		b.ready(q.nextCost(limit))
	}
	b.gate.enter(kind)
	begin := time.Now()
	batch := q.take(limit)
	if len(batch) > 0 {
		b.commit(batch)
	}
	wanted := 1
	if urgent := urgentOf(batch); urgent > fewCommands {
		wanted = urgent
	}
	_, enough := q.want(wanted)
	again = ctx.Err() == nil && (enough || wanted > 1)
	b.gate.leave(kind, batch, time.Since(begin), again)
	if again && !enough {
		q.gather(ctx, wanted)
	}
	return again
}

// urgentOf returns how many commands are not patient.
func urgentOf(batch []*proposal) (n int) {
	for _, p := range batch {
		if !p.patient {
			n++
		}
	}
	return n
}

func finishAll(batch []*proposal, err error) {
	for _, p := range batch {
		p.finish(nil, err)
	}
}

const entryVersion = 1

// encodeEntry returns the data of one Raft entry.
func encodeEntry(now int64, batch []*proposal) []byte {
	data := make([]byte, 0, batchSize(batch))
	data = append(data, entryVersion)
	data = binary.BigEndian.AppendUint64(data, uint64(now))
	return appendCommands(data, batch)
}

func batchSize(batch []*proposal) int {
	size := commandOverhead
	for _, p := range batch {
		size += len(p.command.Body) + commandOverhead
	}
	return size
}

func appendCommands(data []byte, batch []*proposal) []byte {
	data = binary.AppendUvarint(data, uint64(len(batch)))
	for _, p := range batch {
		data = append(data, p.command.Request[:]...)
		data = binary.AppendUvarint(data, p.command.Since)
		data = binary.AppendUvarint(data, uint64(len(p.command.Body)))
		data = append(data, p.command.Body...)
	}
	return data
}

var errDamaged = errors.New("cluster: an entry is damaged, or of a format that this program does not know: upgrade this node")

func decodeEntry(data []byte) (now int64, commands []Command, err error) {
	if len(data) < 9 || data[0] != entryVersion {
		return 0, nil, errDamaged
	}
	commands, err = decodeCommands(data[9:])
	return int64(binary.BigEndian.Uint64(data[1:])), commands, err
}

// minCommand is the size of the smallest command: a request id and two numbers.
const minCommand = 18

// decodeCommands returns commands whose bodies are slices of data.
func decodeCommands(data []byte) ([]Command, error) {
	damaged := false
	number := func() uint64 {
		v, n := binary.Uvarint(data)
		if n <= 0 {
			damaged = true
			return 0
		}
		data = data[n:]
		return v
	}
	count := number()
	if damaged || count > uint64(len(data)/minCommand) {
		return nil, errDamaged
	}
	commands := make([]Command, count)
	for i := range commands {
		if len(data) < 16 {
			return nil, errDamaged
		}
		copy(commands[i].Request[:], data)
		data = data[16:]
		commands[i].Since = number()
		size := number()
		if damaged || size > uint64(len(data)) {
			return nil, errDamaged
		}
		commands[i].Body, data = data[:size:size], data[size:]
	}
	if damaged || len(data) != 0 {
		return nil, errDamaged
	}
	return commands, nil
}

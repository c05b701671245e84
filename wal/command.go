package wal

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"hookwheel/webhook"
)

// Command is one request to the state machine, as it is in a Raft entry. It is an alias of an
// unnamed struct, so that package cluster, which has the same one, and the store fit together
// without knowing each other.
type Command = struct {
	Request [16]byte // names the request, the same in each try
	Since   uint64   // 0: the first try; else the first index at which an earlier try may be
	Body    []byte   // kind, version, then what encode… below writes
}

// kind is the kind of a command. The numbers are in the replicated log: they are never changed or
// used again.
type kind byte

const (
	kindCreateApplication kind = 1
	kindCreateEndpoint    kind = 2
	kindDeleteEndpoint    kind = 3
	kindCreateMessage     kind = 4
	kindRecordProgress    kind = 5
	kindFingerprint       kind = 6
	kindUpdateApplication kind = 7 // a webhook.Application with the Revision that it was made from
	kindDeleteApplication kind = 8
	kindUpdateEndpoint    kind = 9 // a webhook.Endpoint, likewise
	kindCreateEventType   kind = 10
	kindUpdateEventType   kind = 11 // a webhook.EventType, likewise
	kindDeleteEventType   kind = 12
	kindExpungeMessage    kind = 13
	kindExpungeAttempt    kind = 14
	kindResend            kind = 15
	kindCreateTask        kind = 16
	kindStepTask          kind = 17
	kindChangeTask        kind = 18
	kindCreateKey         kind = 19
	kindRevokeKeys        kind = 20
	kindTouchKeys         kind = 21
	kindIdempotent        kind = 22
	kindRetain            kind = 23
	kindMoveCursor        kind = 24
	kindDisableEndpoint   kind = 25
	kindBehalf            kind = 26
	kindRecordMember      kind = 27
	kindPutSettings       kind = 28
	kindCreateMessages    kind = 29
	kindSweep             kind = 30
	kindKeepAnswer        kind = 31
)

const commandVersion = 1

// createApplication is the body of kindCreateApplication and, with Created, the reply to it.
type createApplication struct {
	Application webhook.Application `json:"application"`
	GetIfExists bool                `json:"getIfExists,omitempty"`
	Max         int                 `json:"max,omitempty"` // limit of applications; 0: any number
	Created     bool                `json:"created,omitempty"`
}

// createEndpoint is the body of kindCreateEndpoint. The limit is in the command because the state
// machine must not depend on the configuration of a node.
type createEndpoint struct {
	webhook.Endpoint
	Max    int     `json:"max,omitempty"` // limit of endpoints for applications without their own; 0: any number
	Viewer *viewer `json:"viewer,omitempty"`
}

// updateEndpoint is the body of kindUpdateEndpoint.
type updateEndpoint struct {
	webhook.Endpoint
	Resealed bool    `json:"resealed,omitempty"` // only how the secrets are stored has changed
	Viewer   *viewer `json:"viewer,omitempty"`
}

// viewer is the portal that asks for a change. Event types whose feature flags it lacks do not
// exist for it. A nil viewer sees all event types.
type viewer struct {
	FeatureFlags []string            `json:"featureFlags"`
	has          map[string]struct{} // the same, once they were looked up
}

// canSee looks a flag up instead of comparing it with each one of the portal: a command may name a
// thousand event types, which may have a hundred flags each, as the portal may.
func (v *viewer) canSee(t *eventTypeHead) bool {
	if v == nil || len(t.FeatureFlags) == 0 {
		return true
	}
	if v.has == nil {
		v.has = make(map[string]struct{}, len(v.FeatureFlags))
		for _, flag := range v.FeatureFlags {
			v.has[flag] = struct{}{}
		}
	}
	return slices.ContainsFunc(t.FeatureFlags, func(flag string) bool {
		_, has := v.has[flag]
		return has
	})
}

// createEventType is the body of kindCreateEventType.
type createEventType struct {
	webhook.EventType
	Max int `json:"max,omitempty"` // limit of event types; 0: any number
}

// createTask is the body of kindCreateTask.
type createTask struct {
	webhook.Task
	Max    int     `json:"max,omitempty"` // limit of unfinished replays of the application; 0: any number
	Viewer *viewer `json:"viewer,omitempty"`
}

// deleteEndpoint is the body of kindDeleteEndpoint.
type deleteEndpoint struct {
	App      webhook.ID `json:"app"`
	Endpoint webhook.ID `json:"endpoint"`
}

// deleteApplication is the body of kindDeleteApplication.
type deleteApplication struct {
	App webhook.ID `json:"app"`
}

// deleteEventType is the body of kindDeleteEventType.
type deleteEventType struct {
	Name    string `json:"name"`
	Expunge bool   `json:"expunge,omitempty"`
}

// moveCursor is the body of kindMoveCursor, which also ends a pause.
type moveCursor struct {
	App      webhook.ID `json:"app"`
	Endpoint webhook.ID `json:"endpoint"`
	To       webhook.ID `json:"to"` // messages up to this one are passed over; zero: none
}

// disableEndpoint is the body of kindDisableEndpoint.
type disableEndpoint struct {
	Term      uint64     `json:"term"` // of the leader
	Endpoint  webhook.ID `json:"endpoint"`
	FailSince time.Time  `json:"failSince"`
	Revision  uint64     `json:"revision,omitzero"` // of the endpoint that failed
}

// expunge is the body of kindExpungeMessage, and with Attempt of kindExpungeAttempt.
type expunge struct {
	App     webhook.ID `json:"app"`
	Message webhook.ID `json:"message"`
	Attempt webhook.ID `json:"attempt,omitzero"`
}

// retain is the body of kindRetain.
type retain struct {
	Before  int64  `json:"before"`            // milliseconds: messages from before leave the log, but for those that say themselves how long they are kept
	Size    int64  `json:"size,omitempty"`    // bytes; not 0: of any age, but only those that no endpoint waits for, until logs and histories take no more
	Share   int64  `json:"share,omitempty"`   // bytes; with Size: an application whose log and histories take no more keeps all
	Records int    `json:"records"`           // that may be looked at, about
	Tallies int64  `json:"tallies,omitempty"` // bytes that a queue of tallies may take; 0: any number
	Parts   []part `json:"parts"`             // of logs, to be looked at
	Looked  []part `json:"looked,omitempty"`  // how far the leader has looked in logs: what is older than Before and has no line under X is in Parts
}

// part is what an entry has added to the log of an application.
type part struct {
	App   webhook.ID `json:"app"`
	Entry webhook.ID `json:"entry"` // one of its messages
}

// resend is the body of kindResend.
type resend struct {
	App      webhook.ID `json:"app"`
	Endpoint webhook.ID `json:"endpoint"`
	Message  webhook.ID `json:"message"`
}

// changeTask is the body of kindChangeTask: running, paused or canceled is what it is to be.
type changeTask struct {
	Task   webhook.ID         `json:"task"`
	Status webhook.TaskStatus `json:"status"`
}

// encodeStepTask: term of the leader | task 20 | from 20 | to 20 | looked | for each
// message taken: 20
func encodeStepTask(term uint64, step *webhook.TaskStep) []byte {
	dst := binary.AppendUvarint([]byte{byte(kindStepTask), commandVersion}, term)
	dst = append(append(append(dst, step.Task[:]...), step.From[:]...), step.To[:]...)
	dst = binary.AppendUvarint(dst, uint64(step.Looked))
	for i := range step.Messages {
		dst = append(dst, step.Messages[i][:]...)
	}
	return dst
}

func decodeStepTask(body []byte) (term uint64, step webhook.TaskStep, err error) {
	r := newReader(body, commandVersion)
	term = r.uvarint()
	step = webhook.TaskStep{Task: r.id(), From: r.id(), To: r.id()}
	looked := r.uvarint()
	for r.more() {
		step.Messages = append(step.Messages, r.id())
	}
	if looked > math.MaxInt32 {
		r.fail()
	}
	step.Looked = int(looked)
	return term, step, r.err
}

func encodeCommand(k kind, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("wal: encoding command %d: %w", k, err)
	}
	return append([]byte{byte(k), commandVersion}, text...), nil
}

// appendCreateMessage: application 20 | as appendMessage.
func appendCreateMessage(dst []byte, m *webhook.Message) []byte {
	dst = slices.Grow(dst, len(m.Payload)+len(m.EventType)+len(m.EventID)+64)
	dst = append(dst, byte(kindCreateMessage), commandVersion)
	dst = append(dst, m.App[:]...)
	return appendMessage(dst, m)
}

func decodeCreateMessage(body []byte) (*webhook.Message, error) {
	r := newReader(body, commandVersion)
	m := &webhook.Message{App: r.id()}
	readMessage(r, m)
	return m, r.end()
}

// Beside its source, the first byte of an outcome says what it has.
const (
	outcomeSource   = 1<<4 - 1
	outcomeHold     = 1 << 4
	outcomeKey      = 1 << 5
	outcomePutOff   = 1 << 6 // there was no attempt
	outcomeSchedule = 1 << 7 // the message was scheduled for some time
	progressHealth  = 1
)

// What an endpoint and an outcome of it usually take in a record of progress.
const (
	progressBytes = 64
	outcomeBytes  = 320
)

// encodeProgress: term of the leader, then for each endpoint
//
//	endpoint 20 | cursor 20 | 0, or 1 and health | number of outcomes | for each outcome:
//	source and flags 1 | due, of a retry | key 8, if it has one | spent | scheduled, if it was | as appendAttempt; without attempt message 20 | next
func encodeProgress(term uint64, list []webhook.Progress) []byte {
	size := 16
	for i := range list {
		size += progressBytes + len(list[i].Outcomes)*outcomeBytes
	}
	dst := append(make([]byte, 0, size), byte(kindRecordProgress), commandVersion)
	dst = binary.AppendUvarint(dst, term)
	for i := range list {
		p := &list[i]
		dst = append(dst, p.Endpoint[:]...)
		dst = append(dst, p.Cursor[:]...)
		if p.Health == nil {
			dst = append(dst, 0)
		} else {
			dst = appendHealth(append(dst, progressHealth), p.Health)
		}
		dst = binary.AppendUvarint(dst, uint64(len(p.Outcomes)))
		before := &noAttempt
		for j := range p.Outcomes {
			o := &p.Outcomes[j]
			dst = appendOutcome(dst, o, before)
			if o.Attempt.Number != 0 {
				before = &o.Attempt
			}
		}
	}
	return dst
}

func appendOutcome(dst []byte, o *webhook.Outcome, before *webhook.Attempt) []byte {
	first := byte(o.Source)
	if o.Hold {
		first |= outcomeHold
	}
	if o.Key != 0 {
		first |= outcomeKey
	}
	if o.Attempt.Number == 0 {
		first |= outcomePutOff
	}
	if !o.Scheduled.IsZero() {
		first |= outcomeSchedule
	}
	dst = append(dst, first)
	if o.Source == webhook.SourceRetry {
		dst = appendTime(dst, o.Due)
	}
	if o.Key != 0 {
		dst = binary.BigEndian.AppendUint64(dst, o.Key)
	}
	dst = binary.AppendUvarint(dst, uint64(o.Spent))
	if !o.Scheduled.IsZero() {
		dst = appendTime(dst, o.Scheduled)
	}
	if o.Attempt.Number == 0 {
		return appendTime(append(dst, o.Attempt.Message[:]...), o.Attempt.Next)
	}
	return appendAttempt(dst, &o.Attempt, before)
}

func readOutcome(r *reader, o *webhook.Outcome, before *webhook.Attempt) {
	first := r.byte()
	o.Source, o.Hold = webhook.Source(first&outcomeSource), first&outcomeHold != 0
	if o.Source == webhook.SourceRetry {
		o.Due = r.time()
	}
	if first&outcomeKey != 0 {
		if key := r.take(8); key != nil {
			o.Key = binary.BigEndian.Uint64(key)
		}
	}
	o.Spent = r.uint32()
	if first&outcomeSchedule != 0 {
		o.Scheduled = r.time()
	}
	if first&outcomePutOff != 0 {
		o.Attempt.Message, o.Attempt.Next = r.id(), r.time()
		return
	}
	readAttempt(r, &o.Attempt, before)
	if o.Attempt.Number == 0 || o.Hold { // then no attempt was made, which the flags would say
		r.fail()
	}
}

func decodeProgress(body []byte) (term uint64, list []webhook.Progress, err error) {
	r := newReader(body, commandVersion)
	term = r.uvarint()
	for r.more() {
		p := webhook.Progress{Endpoint: r.id(), Cursor: r.id()}
		if r.byte() == progressHealth {
			p.Health = new(webhook.Health)
			readHealth(r, p.Health)
		}
		before, n := &noAttempt, r.uvarint()
		if n > 0 {
			p.Outcomes = make([]webhook.Outcome, 0, min(n, uint64(len(r.rest)/idSize))) // each has an ID
		}
		for ; n > 0 && r.err == nil; n-- {
			var o webhook.Outcome
			readOutcome(r, &o, before)
			p.Outcomes = append(p.Outcomes, o)
			if o.Attempt.Number != 0 {
				before = &p.Outcomes[len(p.Outcomes)-1].Attempt
			}
		}
		list = append(list, p)
	}
	return term, list, r.err
}

// encodeFingerprint: nothing but kind and version. The reply is the index of the entry, 8 bytes.
func encodeFingerprint() []byte { return []byte{byte(kindFingerprint), commandVersion} }

// A reply is a byte, then what the command returns (replyOK) or a webhook.Error as JSON
// (replyError). Among the requests that are remembered there are others (replyStored), which say
// where to read the reply.
const (
	replyOK     = 0
	replyError  = 1
	replyStored = 2
)

func okReply(body []byte) []byte { return append([]byte{replyOK}, body...) }

func errorReply(e *webhook.Error) ([]byte, error) {
	text, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("wal: encoding a reply: %w", err)
	}
	return append([]byte{replyError}, text...), nil
}

func decodeReply(reply []byte) ([]byte, error) {
	if len(reply) == 0 {
		return nil, fmt.Errorf("wal: empty reply")
	}
	if reply[0] == replyOK {
		return reply[1:], nil
	}
	e := new(webhook.Error)
	if err := json.Unmarshal(reply[1:], e); err != nil {
		return nil, fmt.Errorf("wal: decoding a reply: %w", err)
	}
	return nil, e
}

package wal

import (
	"encoding/json"
	"fmt"
	"time"

	"hookwheel/webhook"
)

// A command is taken apart in one place, decodeCommand, whoever asks: Admit on the leader, before
// the command is in the log, and Apply on all nodes. So what Admit lets through Apply can read.
// Each kind has a bound on what it may write beside its own bytes; it is given here in the words of
// the limits below, and cost tells the batcher about how much that is, so that an entry stays
// small.
//
//	kind                    bytes of its body            writes at most
//	createMessage           payload + 16 KiB             its body, 2 lines
//	createMessages          maxPayload + 16 KiB each     its body, 2 lines for each of MaxMessages messages
//	createApplication       maxObject                    its body; with an idempotency key the reply too, as all that follow
//	updateApplication       maxObject                    its body
//	createEndpoint          maxObject                    its body, a cursor, a change, an operational message
//	updateEndpoint          maxObject                    its body, a change, an operational message
//	disableEndpoint         small                        the endpoint (maxObject), a change, an operational message
//	moveCursor              small                        the endpoint (maxObject), its cursor, a change, an operational message
//	deleteEndpoint          small                        its tasks (16 of maxTask), a change, an operational message; the rest is swept
//	deleteApplication       small                        its tasks (maxAppTasks of maxTask), 100 keys; the rest is swept
//	create/updateEventType  maxObject                    its body
//	deleteEventType         small                        the event type (maxObject)
//	createKey, revokeKeys   maxAPIKey                    100 keys of maxAPIKey, the application
//	touchKeys               maxTouches                   maxTouches keys of maxAPIKey
//	createTask              maxTask                      its body, the tasks that are forgotten
//	changeTask              small                        the task, MaxTaskLines lines
//	stepTask                MaxTaskStep messages         a line for each, a cursor, the tasks that it takes lines from
//	recordProgress          maxProgress, maxOutcomes     its attempts with 2 lines and an operational message each; for each endpoint a cursor, and three tallies for it and its application
//	expungeMessage, -Attempt  small                      one chunk of a log or a history
//	resend                  small                        a line, a cursor
//	retain                  retainParts and some         retainBytes of chunks, retainRecords
//	sweep                   small                        sweepPerEntry records, and the attempts of one chunk more
//	fingerprint             nothing                      nothing
//	keepAnswer              maxAnswer                    nothing, but it is its own reply
//	idempotent              the command within           that, its reply, its key, a payload
//	behalf                  the command within           that, and the actor in each of its changes (2 KiB)
//	recordMember            small                        a change
//	putSettings             maxObject                    its body, a change
//
// retain may exceed its bounds by one chunk, and by the lines of one message.
const (
	maxPayload   = 3 << 20   // bytes of a message's payload; the largest max_body
	maxObject    = 512 << 10 // bytes of an application, endpoint or event type, as JSON
	maxTask      = 48 << 10  // of a task
	maxAPIKey    = 48 << 10  // of an API key
	maxAnswer    = 2 << 20   // bytes of an answer that is kept, such as names of event types
	maxTouches   = 100       // keys that one command touches
	maxProgress  = 1024      // endpoints in a record of progress
	maxOutcomes  = 2048      // outcomes in it
	maxURL       = 64 << 10  // bytes of the URL of an attempt
	maxFailure   = 1 << 10   // bytes of the words about a failure
	maxParts     = 4096      // parts of logs that a retain command names
	maxSmall     = 4 << 10   // bytes of a command of ids and words
	maxTokenLife = 10 * 365 * 24 * 3600
)

// action is a command taken apart.
type action interface {
	// validate refuses, with a *webhook.Error, what no command of its kind may ask for. Only Admit
	// asks: the limits may change from one version of the program to the next, and what is in the
	// log is applied.
	validate() error
	// apply does what the command asks. A *webhook.Error refuses it and has changed nothing; any
	// other error is fatal.
	apply(e *entry) (reply []byte, err error)
}

// decodeCommand decodes a command. An error means that the command is damaged, or has a kind or
// format that this program does not know.
func decodeCommand(body []byte) (action, error) {
	if len(body) < 2 {
		return nil, errCut
	}
	rest := body[1:]
	switch k := kind(body[0]); k {
	case kindCreateMessage:
		m, err := decodeCreateMessage(rest)
		return (*createMessage)(m), err
	case kindCreateMessages:
		return decodeCreateMessages(rest)
	case kindRecordProgress:
		term, list, err := decodeProgress(rest)
		return &recordProgress{term, list}, err
	case kindStepTask:
		term, step, err := decodeStepTask(rest)
		return &stepTask{term, step}, err
	case kindFingerprint:
		return fingerprint{}, newReader(rest, commandVersion).end()
	case kindKeepAnswer:
		return decodeKeepAnswer(rest)
	case kindIdempotent:
		return decodeOnce(rest)
	case kindBehalf:
		return decodeBehalfOf(rest)
	default:
		return decodeObjectCommand(k, rest)
	}
}

// decodeObjectCommand decodes a command with a JSON body.
func decodeObjectCommand(k kind, body []byte) (action, error) {
	switch k {
	case kindCreateApplication:
		return decodeAs[createApplication](body)
	case kindUpdateApplication:
		return decodeAs[updateApplication](body)
	case kindDeleteApplication:
		return decodeAs[deleteApplication](body)
	case kindCreateEndpoint:
		return decodeAs[createEndpoint](body)
	case kindUpdateEndpoint:
		return decodeAs[updateEndpoint](body)
	case kindDeleteEndpoint:
		return decodeAs[deleteEndpoint](body)
	case kindDisableEndpoint:
		return decodeAs[disableEndpoint](body)
	case kindMoveCursor:
		return decodeAs[moveCursor](body)
	case kindCreateEventType:
		return decodeAs[createEventType](body)
	case kindUpdateEventType:
		return decodeAs[updateEventType](body)
	case kindDeleteEventType:
		return decodeAs[deleteEventType](body)
	case kindExpungeMessage:
		return decodeAs[expungeMessage](body)
	case kindExpungeAttempt:
		return decodeAs[expungeAttempt](body)
	case kindRetain:
		return decodeAs[retain](body)
	case kindSweep:
		return decodeAs[sweep](body)
	case kindResend:
		return decodeAs[resend](body)
	case kindCreateKey:
		return decodeAs[createKey](body)
	case kindRevokeKeys:
		return decodeAs[revokeKeys](body)
	case kindTouchKeys:
		return decodeAs[touchKeys](body)
	case kindCreateTask:
		return decodeAs[createTask](body)
	case kindChangeTask:
		return decodeAs[changeTask](body)
	case kindRecordMember:
		return decodeAs[recordMember](body)
	case kindPutSettings:
		return decodeAs[putSettings](body)
	default:
		return nil, fmt.Errorf("wal: command of kind %d is not known to this program: upgrade this node", k)
	}
}

func decodeAs[T any, P interface {
	*T
	action
}](body []byte) (action, error) {
	v := P(new(T))
	return v, decodeJSON(body, v)
}

func decodeOnce(body []byte) (action, error) {
	key, fingerprint, command, err := decodeIdempotent(body)
	if err != nil {
		return nil, err
	}
	within, err := decodeCommand(command)
	return &once{key: key, fingerprint: fingerprint, kind: kind(command[0]), within: within}, err
}

// once is the body of kindIdempotent.
type once struct {
	key         [16]byte
	fingerprint [16]byte
	kind        kind
	within      action
}

func (c *once) validate() error { return c.within.validate() }

// innermost returns the command that has the effect.
func innermost(c action) action {
	for {
		switch wrapped := c.(type) {
		case *behalf:
			c = wrapped.within
		case *once:
			c = wrapped.within
		default:
			return c
		}
	}
}

// Flow returns what commands take turns by: the application of messages, and otherwise the kind.
func (s *Store) Flow(body []byte) string {
	body = innerCommand(body)
	switch {
	case len(body) == 0:
		return ""
	case kind(body[0]) == kindCreateMessage, kind(body[0]) == kindCreateMessages:
		return string(body[1:min(len(body), 2+idSize)]) // the version and the application
	default:
		return string(body[:1])
	}
}

// PostedTo returns the application to which a command posts messages, and how many; 0: it does
// something else.
func PostedTo(body []byte) (app webhook.ID, messages int) {
	body = innerCommand(body)
	if len(body) < 2+idSize {
		return app, 0
	}
	switch kind(body[0]) {
	case kindCreateMessage:
		messages = 1
	case kindCreateMessages:
		messages = messagesIn(body)
	default:
		return app, 0
	}
	copy(app[:], body[2:])
	return app, messages
}

// IsPatient reports whether nobody waits for a command: one that records attempts.
func (s *Store) IsPatient(body []byte) bool {
	return len(body) > 0 && kind(body[0]) == kindRecordProgress
}

// Cost returns roughly how many bytes applying a command takes. It limits how many commands share
// an entry. Besides a command's own size it counts what short commands may change.
func (s *Store) Cost(body []byte) int {
	k, command := kind(0), innerCommand(body)
	if len(command) > 0 {
		k = kind(command[0])
	}
	switch k {
	case kindCreateMessages:
		return len(body) + messagesIn(command)*lineCost
	case kindRetain, kindSweep, kindTouchKeys, kindDeleteApplication:
		return len(body) + 256<<10
	case kindExpungeMessage, kindExpungeAttempt:
		return len(body) + 64<<10
	case kindMoveCursor, kindDisableEndpoint, kindDeleteEventType, kindRevokeKeys, kindDeleteEndpoint:
		return len(body) + 32<<10
	case kindStepTask, kindChangeTask, kindCreateTask, kindResend:
		return len(body) + 8<<10
	case kindRecordProgress: // the counts of its endpoints and applications
		return 3 * len(body)
	default:
		return len(body)
	}
}

// The kinds whose body is an object.
type (
	createMessage     webhook.Message
	updateApplication webhook.Application
	updateEventType   webhook.EventType
	createKey         webhook.APIKey
)

type recordProgress struct {
	term uint64
	list []webhook.Progress
}

type stepTask struct {
	term uint64
	step webhook.TaskStep
}

type (
	expungeMessage expunge
	expungeAttempt expunge
	fingerprint    struct{}
)

func tooLarge(what string, limit int) error {
	return &webhook.Error{Code: webhook.CodeTooLarge, Detail: fmt.Sprintf("%s takes more than %d KiB as it is stored", what, limit>>10)}
}

func impossible(detail string) error {
	return &webhook.Error{Code: webhook.CodeInvalid, Detail: detail}
}

// storable refuses values that JSON cannot represent, such as a time in the year 10000, and values
// beyond the limit.
func storable(v any, what string, limit int) error {
	text, err := json.Marshal(v)
	if err != nil {
		return impossible(what + " holds a value that can't be stored")
	}
	if len(text) > limit {
		return tooLarge(what, limit)
	}
	return nil
}

func (c *createMessage) validate() error {
	if len(c.Payload) > maxPayload {
		return tooLarge("the payload", maxPayload)
	}
	return (*webhook.Message)(c).Validate(time.Now())
}

func (c *createApplication) validate() error {
	if err := c.Application.Validate(); err != nil {
		return err
	}
	return storable(c, "the application", maxObject)
}

func (c *updateApplication) validate() error {
	if err := (*webhook.Application)(c).Validate(); err != nil {
		return err
	}
	return storable(c, "the application", maxObject)
}

func (c *createEndpoint) validate() error { return validEndpoint(&c.Endpoint) }
func (c *updateEndpoint) validate() error { return validEndpoint(&c.Endpoint) }

func validEndpoint(e *webhook.Endpoint) error {
	if err := e.Validate(); err != nil {
		return err
	}
	if len(e.Keys) > webhook.MaxKeys {
		return impossible(fmt.Sprintf("an endpoint has at most %d signing keys", webhook.MaxKeys))
	}
	return storable(e, "the endpoint", maxObject)
}

func (c *createEventType) validate() error { return validEventType(&c.EventType) }
func (c *updateEventType) validate() error { return validEventType((*webhook.EventType)(c)) }

func validEventType(t *webhook.EventType) error {
	if err := t.Validate(); err != nil {
		return err
	}
	return storable(t, "the event type", maxObject)
}

func (c *createKey) validate() error {
	if err := (*webhook.APIKey)(c).Validate(); err != nil {
		return err
	}
	return storable(c, "the API key", maxAPIKey)
}

func (c *createTask) validate() error {
	switch c.Kind {
	case webhook.TaskRecover, webhook.TaskReplayMissing, webhook.TaskReplay:
	default:
		return impossible("there is no such kind of task")
	}
	switch c.Which {
	case webhook.ReplayAll, webhook.ReplayDelivered, webhook.ReplayFailed, webhook.ReplayNeverAttempted:
	default:
		return webhook.Invalid("messages", "must be all, delivered, failed or never-attempted")
	}
	if err := c.Task.Validate(); err != nil {
		return err
	}
	return storable(c, "the task", maxTask)
}

func (c *deleteEndpoint) validate() error    { return nil }
func (c *deleteApplication) validate() error { return nil }
func (c *moveCursor) validate() error        { return nil }
func (c *expungeMessage) validate() error    { return nil }
func (c *expungeAttempt) validate() error    { return nil }
func (c *resend) validate() error            { return nil }
func (fingerprint) validate() error          { return nil }

func (c *deleteEventType) validate() error { return storable(c, "the event type", maxSmall) }
func (c *disableEndpoint) validate() error { return storable(c, "the command", maxSmall) }

func (c *changeTask) validate() error {
	switch c.Status {
	case webhook.TaskRunning, webhook.TaskPaused, webhook.TaskCanceled:
		return nil
	default:
		return webhook.Invalid("status", "must be running, paused or canceled")
	}
}

func (c *revokeKeys) validate() error {
	if c.Last < 0 || c.Last > maxTokenLife {
		return webhook.Invalid("expiry", "must be from 0 to ten years, in seconds")
	}
	return webhook.ValidSessions(c.Sessions)
}

func (c *touchKeys) validate() error {
	if len(*c) > maxTouches {
		return impossible(fmt.Sprintf("one command touches at most %d API keys", maxTouches))
	}
	return storable(c, "the command", maxObject)
}

func (c *retain) validate() error {
	switch {
	case c.Records < 1 || c.Records > retainRecords:
		return impossible(fmt.Sprintf("one command looks at 1 to %d records", retainRecords))
	case c.Size < 0 || c.Share < 0 || c.Tallies < 0 || len(c.Parts) > maxParts || len(c.Looked) > maxParts:
		return impossible("the part of the log that is to leave can't be")
	}
	return nil
}

func (c *sweep) validate() error {
	if c.Records < 1 || c.Records > sweepPerEntry {
		return impossible(fmt.Sprintf("one command removes 1 to %d records", sweepPerEntry))
	}
	return nil
}

func (c *stepTask) validate() error {
	if len(c.step.Messages) > webhook.MaxTaskStep {
		return impossible(fmt.Sprintf("one step of a task takes at most %d messages", webhook.MaxTaskStep))
	}
	return nil
}

func (c *recordProgress) validate() error {
	outcomes := 0
	for i := range c.list {
		p := &c.list[i]
		outcomes += len(p.Outcomes)
		if p.Health != nil && len(p.Health.LastFailure) > maxFailure {
			return impossible("the words about a failure are too many")
		}
		for j := range p.Outcomes {
			a := &p.Outcomes[j].Attempt
			if len(a.Response) > webhook.MaxResponse || len(a.URL) > maxURL || a.Trace != nil && len(a.Trace.Headers) > webhook.MaxHeaders {
				return impossible("an attempt has a response, headers or a URL that is longer than any can be")
			}
		}
	}
	if len(c.list) > maxProgress || outcomes > maxOutcomes {
		return impossible(fmt.Sprintf("one record is about at most %d endpoints and %d outcomes", maxProgress, maxOutcomes))
	}
	return nil
}

func (c *createMessage) apply(e *entry) ([]byte, error) {
	return e.createMessage((*webhook.Message)(c))
}
func (c *createApplication) apply(e *entry) ([]byte, error) { return applicationTable{e}.create(c) }
func (c *updateApplication) apply(e *entry) ([]byte, error) {
	return applicationTable{e}.update((*webhook.Application)(c))
}
func (c *deleteApplication) apply(e *entry) ([]byte, error) {
	return nil, applicationTable{e}.remove(c)
}
func (c *createEndpoint) apply(e *entry) ([]byte, error) {
	return endpointTable{e}.create(c)
}
func (c *updateEndpoint) apply(e *entry) ([]byte, error) {
	return endpointTable{e}.update(c)
}
func (c *deleteEndpoint) apply(e *entry) ([]byte, error)  { return nil, endpointTable{e}.remove(c) }
func (c *disableEndpoint) apply(e *entry) ([]byte, error) { return nil, endpointTable{e}.disable(c) }
func (c *moveCursor) apply(e *entry) ([]byte, error)      { return endpointTable{e}.resume(c) }
func (c *createEventType) apply(e *entry) ([]byte, error) {
	return eventTypeTable{e}.create(c)
}
func (c *updateEventType) apply(e *entry) ([]byte, error) {
	return eventTypeTable{e}.update((*webhook.EventType)(c))
}
func (c *deleteEventType) apply(e *entry) ([]byte, error) { return nil, eventTypeTable{e}.remove(c) }
func (c *expungeMessage) apply(e *entry) ([]byte, error)  { return nil, e.expungeMessage(c) }
func (c *expungeAttempt) apply(e *entry) ([]byte, error)  { return nil, e.expungeAttempt(c) }
func (c *retain) apply(e *entry) ([]byte, error)          { return nil, e.retain(c) }
func (c *resend) apply(e *entry) ([]byte, error)          { return nil, manualSet{e}.resend(c) }
func (c *createKey) apply(e *entry) ([]byte, error)       { return keyTable{e}.create((*webhook.APIKey)(c)) }
func (c *revokeKeys) apply(e *entry) ([]byte, error)      { return nil, keyTable{e}.revoke(c) }
func (c *touchKeys) apply(e *entry) ([]byte, error)       { return nil, keyTable{e}.touch(*c) }
func (c *createTask) apply(e *entry) ([]byte, error)      { return taskTable{e}.create(c) }
func (c *changeTask) apply(e *entry) ([]byte, error)      { return taskTable{e}.change(c) }
func (c *stepTask) apply(e *entry) ([]byte, error)        { return nil, taskTable{e}.step(c.term, &c.step) }
func (c *recordProgress) apply(e *entry) ([]byte, error) {
	return nil, recorder{e}.record(c.term, c.list)
}
func (c fingerprint) apply(e *entry) ([]byte, error) { return e.askFingerprint() }
func (c *once) apply(e *entry) ([]byte, error)       { return replyTable{e}.applyOnce(c) }
func (c keepAnswer) apply(*entry) ([]byte, error)    { return c, nil }

package wal

import (
	"context"
	"time"

	"hookwheel/webhook"
)

// Leader proposes what the leader of a term decides. That is refused once there is
// another leader.
type Leader struct {
	client client
	term   uint64
}

// Leader returns what the leader of this term writes with.
func (w *Writer) Leader(term uint64) *Leader { return &Leader{w.client, term} }

// RecordProgress records deliveries, and cuts what is longer than it may be: if the log refused
// what one receiver has sent, nothing of any endpoint could be recorded.
func (l *Leader) RecordProgress(ctx context.Context, list []webhook.Progress) error {
	for i := range list {
		for j := range list[i].Outcomes {
			a := &list[i].Outcomes[j].Attempt
			a.Response = a.Response[:min(len(a.Response), webhook.MaxResponse)]
			if a.Trace != nil {
				a.Trace.CutHeaders(webhook.MaxHeaders)
			}
		}
	}
	_, err := l.client.propose(ctx, encodeProgress(l.term, list))
	return err
}

// DisableEndpoint disables an endpoint that has failed since failSince, unless a user has changed
// it since. It is sent nothing until a user enables it; new messages wait in the log.
func (l *Leader) DisableEndpoint(ctx context.Context, endpoint *webhook.Endpoint, failSince time.Time) error {
	return l.client.proposeEnd(ctx, kindDisableEndpoint, disableEndpoint{l.term, endpoint.ID, failSince.UTC(), endpoint.Revision})
}

// StepTask moves a task forward. It is also refused if the task was moved or changed meanwhile.
func (l *Leader) StepTask(ctx context.Context, step *webhook.TaskStep) error {
	_, err := l.client.propose(ctx, encodeStepTask(l.term, step))
	return err
}

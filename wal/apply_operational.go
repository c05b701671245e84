package wal

import (
	"encoding/json"
	"time"

	"hookwheel/webhook"
)

// Operational webhooks are messages about endpoints and deliveries, with the same bodies as at
// Svix. Each is written in the entry that caused it, to the log of the application whose uid is
// webhook.OperationalUID, if that exists. Changes of that application's own endpoints cause none:
// they would never end.
const (
	operationalCreated   = "endpoint.created"
	operationalUpdated   = "endpoint.updated"
	operationalDeleted   = "endpoint.deleted"
	operationalDisabled  = "endpoint.disabled"
	operationalFailing   = "message.attempt.failing"
	operationalExhausted = "message.attempt.exhausted"
	operationalRecovered = "message.attempt.recovered"

	failingAttempt = 4 // the attempt whose failure is reported
)

// operationalEvents are the event types that the endpoints of that application can choose without a
// declaration.
var operationalEvents = []string{operationalCreated, operationalUpdated, operationalDeleted, operationalDisabled,
	operationalFailing, operationalExhausted, operationalRecovered}

// operationalData holds the fields that all operational messages share.
type operationalData struct {
	AppID       string `json:"appId"`
	AppUID      string `json:"appUid,omitempty"`
	EndpointID  string `json:"endpointId"`
	EndpointUID string `json:"endpointUid,omitempty"`
}

// operationalLog appends the messages of operational webhooks for an entry.
type operationalLog struct{ *entry }

func (e operationalLog) data(endpoint *webhook.Endpoint) operationalData {
	return operationalData{AppID: endpoint.App.Text(webhook.KindApplication), AppUID: e.store.catalog.applications[endpoint.App].UID,
		EndpointID: endpoint.ID.Text(webhook.KindEndpoint), EndpointUID: endpoint.UID}
}

// application returns the application that receives operational webhooks about an endpoint, or nil.
func (e operationalLog) application(about *webhook.Endpoint) *webhook.Application {
	app := e.store.catalog.uidHolder(webhook.OperationalUID)
	if app == nil || app.ID == about.App {
		return nil
	}
	return app
}

// tell appends an operational message.
func (e operationalLog) tell(app *webhook.Application, event string, data any) error {
	payload, err := json.Marshal(struct {
		Type string `json:"type"`
		Data any    `json:"data"`
	}{event, data})
	if err != nil {
		return err
	}
	return e.appendToLog(&webhook.Message{App: app.ID, EventType: event, Payload: payload})
}

// tellEndpoint reports what was done to an endpoint. A customer who makes change after change does
// not fill the log with reports: those beyond the share of the changes kept are left out for as
// long as it was used up in less than an hour, and counted.
func (e operationalLog) tellEndpoint(event string, about *webhook.Endpoint) error {
	app := e.application(about)
	switch {
	case app == nil:
		return nil
	case e.store.catalog.changes.isFlooded(makerOf(&webhook.StateChange{By: e.actor}), e.batch.meta.clock):
		e.batch.meta.untold++
		return nil
	}
	return e.tell(app, event, e.data(about))
}

func (e operationalLog) tellDisabled(about *webhook.Endpoint, failSince time.Time) error {
	app := e.application(about)
	if app == nil {
		return nil
	}
	return e.tell(app, operationalDisabled, struct {
		operationalData
		FailSince time.Time `json:"failSince"`
		Trigger   string    `json:"trigger"`
	}{e.data(about), failSince, "automatic"})
}

// operationalEvent returns the event type that reports a scheduled attempt, or "" if the attempt is
// not reported.
func operationalEvent(a *webhook.Attempt) string {
	switch {
	case a.Trigger != webhook.TriggerScheduled:
		return ""
	case a.Status == webhook.StatusFail && a.Next.IsZero():
		return operationalExhausted
	case a.Status == webhook.StatusFail && a.Number == failingAttempt:
		return operationalFailing
	case a.Status == webhook.StatusSuccess && a.Number > failingAttempt:
		return operationalRecovered
	default:
		return ""
	}
}

// tellAttempt reports what has become of a message at an endpoint.
func (e operationalLog) tellAttempt(endpoint webhook.ID, a *webhook.Attempt) error {
	event, about := operationalEvent(a), e.store.catalog.endpoints[endpoint]
	if event == "" || about == nil {
		return nil
	}
	app := e.application(about)
	if app == nil {
		return nil
	}
	eventID := ""
	switch m, err := e.log.message(about.App, a.Message); {
	case err != nil:
		return err
	case m != nil: // else it has left the log
		eventID = m.EventID
	}
	type lastAttempt struct {
		ID                 string    `json:"id"`
		ResponseStatusCode uint16    `json:"responseStatusCode"`
		Timestamp          time.Time `json:"timestamp"`
	}
	return e.tell(app, event, struct {
		operationalData
		MsgID       string      `json:"msgId"`
		MsgEventID  string      `json:"msgEventId,omitempty"`
		LastAttempt lastAttempt `json:"lastAttempt"`
	}{e.data(about), a.Message.Text(webhook.KindMessage), eventID,
		lastAttempt{a.ID.Text(webhook.KindAttempt), a.StatusCode, a.Start}})
}

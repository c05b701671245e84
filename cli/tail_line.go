package cli

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// Colors of a terminal (ECMA-48, SGR).
const (
	green  = "\x1b[32m"
	red    = "\x1b[31m"
	yellow = "\x1b[33m"
	plain  = "\x1b[0m"
)

// tailLine returns an event as a line, in which all control characters but our colors are escaped.
func tailLine(event tailEvent, colors bool) (string, error) {
	switch event.name {
	case "skipped":
		return skippedLine(event)
	case "pulse":
		return pulseLine(event)
	}
	var e struct {
		Timestamp          time.Time
		Change             string
		AppID, MsgID       string
		KeyID, EventType   *string
		Member             *string
		Actor              *struct{ Type, KeyID, Name string }
		EndpointID, TaskID *string
		StatusText         string
		ResponseStatusCode int
		ResponseDurationMs int
		Number             int
		NextAttempt        *time.Time
		URL                string
	}
	if err := json.Unmarshal([]byte(event.data), &e); err != nil {
		return "", fmt.Errorf("invalid event: %w", err)
	}
	word, color := e.Change, yellow
	var rest []string
	if event.name == "attempt" {
		word, color = e.StatusText, red
		if word == "success" {
			color = green
		}
		rest = append(rest, fmt.Sprintf("%3d %5d ms  no. %d", e.ResponseStatusCode, e.ResponseDurationMs, e.Number), e.MsgID)
	}
	for _, id := range []*string{e.EndpointID, e.TaskID, e.KeyID, e.EventType, e.Member} {
		if id != nil {
			rest = append(rest, *id)
		}
	}
	if e.EndpointID == nil && e.AppID != "" {
		rest = append(rest, e.AppID)
	}
	if e.Actor != nil {
		rest = append(rest, "by "+cmp.Or(e.Actor.Name, e.Actor.KeyID, e.Actor.Type))
	}
	if e.URL != "" {
		rest = append(rest, e.URL)
	}
	if e.NextAttempt != nil {
		rest = append(rest, "next "+e.NextAttempt.Local().Format(time.TimeOnly))
	}
	word = fmt.Sprintf("%-18s", printable(word))
	if colors {
		word = color + word + plain
	}
	return fmt.Sprintf("%s  %s  %s", e.Timestamp.Local().Format("15:04:05.000"), word, printable(strings.Join(rest, "  "))), nil
}

// tailCounts are attempts by result.
type tailCounts struct{ Success, Fail, Canceled int }

func (c tailCounts) String() string {
	return fmt.Sprintf("%d success, %d fail, %d canceled", c.Success, c.Fail, c.Canceled)
}

// skippedLine returns the counts of events that a node has left out.
func skippedLine(event tailEvent) (string, error) {
	var e struct {
		Attempts tailCounts
		Changes  int
	}
	if err := json.Unmarshal([]byte(event.data), &e); err != nil {
		return "", fmt.Errorf("invalid event: %w", err)
	}
	return fmt.Sprintf("%-12s  %-18s  %s; %d changes", "", "not shown", e.Attempts, e.Changes), nil
}

// pulseLine returns the counts of a second.
func pulseLine(event tailEvent) (string, error) {
	var e struct {
		Timestamp      time.Time
		Attempts       tailCounts
		AttemptLatency struct{ P50, P95, P99 *int }
		Backlog        struct {
			Waiting, Held, Requested, Behind uint64
			Oldest                           *time.Time
		}
		Lag *uint64
	}
	if err := json.Unmarshal([]byte(event.data), &e); err != nil {
		return "", fmt.Errorf("invalid event: %w", err)
	}
	b := &e.Backlog
	parts := []string{e.Attempts.String()}
	if l := e.AttemptLatency; l.P50 != nil && l.P95 != nil && l.P99 != nil {
		parts = append(parts, fmt.Sprintf("p50 %d, p95 %d, p99 %d ms", *l.P50, *l.P95, *l.P99))
	}
	backlog := fmt.Sprintf("backlog %d", b.Waiting+b.Held+b.Requested+b.Behind)
	if b.Oldest != nil {
		backlog += ", oldest " + e.Timestamp.Sub(*b.Oldest).Round(time.Second).String()
	}
	if parts = append(parts, backlog); e.Lag != nil {
		parts = append(parts, fmt.Sprintf("lag %d", *e.Lag))
	}
	return fmt.Sprintf("%s  %-18s  %s", e.Timestamp.Local().Format("15:04:05.000"), "pulse", strings.Join(parts, "; ")), nil
}

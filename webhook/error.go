package webhook

import "errors"

// Code is the kind of an error, as the API names it.
type Code string

// The codes. The HTTP layer maps them to statuses.
const (
	CodeInvalid        Code = "validation_error"
	CodeUnauthorized   Code = "authentication_failed"
	CodeNotFound       Code = "not_found"
	CodeConflict       Code = "conflict"
	CodeTooLarge       Code = "payload_too_large"
	CodeUnavailable    Code = "unavailable"
	CodeNoSpace        Code = "insufficient_storage"
	CodeMakingRoom     Code = "making_room" // as CodeNoSpace, but room is being made; the API never returns it
	CodeMissingPayload Code = "missing_payload"
	CodeInvalidRange   Code = "invalid_range"
	CodeInvalidScheme  Code = "invalid_scheme"
	CodeForbidden      Code = "insufficient access"
	CodeBadRequest     Code = "generic_error"
	CodeInternal       Code = "server_error"
	CodeChanged        Code = "changed_meanwhile" // another change came first: read again and retry
	CodeTypeExists     Code = "event_type_exists"
	CodeLimit          Code = "limit_reached"
	CodeKeyReused      Code = "idempotency_key_reused" // by a different request
)

// Error is an error that an API client can act on: a code for the program, a sentence for its
// developer.
type Error struct {
	Code   Code   `json:"code"`
	Detail string `json:"detail"`
	Field  string `json:"field,omitempty"` // with CodeInvalid: which field of the body
}

func (e *Error) Error() string {
	if e.Field != "" {
		return e.Field + ": " + e.Detail
	}
	return e.Detail
}

// Invalid returns an error that says what is wrong with a field and what to change.
func Invalid(field, detail string) *Error {
	return &Error{Code: CodeInvalid, Detail: detail, Field: field}
}

// ErrorCode returns the code of err, or CodeInternal if err is not an *Error.
func ErrorCode(err error) Code {
	if e, is := errors.AsType[*Error](err); is {
		return e.Code
	}
	return CodeInternal
}

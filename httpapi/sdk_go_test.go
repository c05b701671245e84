package httpapi_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	svix "github.com/svix/svix-webhooks/go"
	"github.com/svix/svix-webhooks/go/models"
	"github.com/svix/svix-webhooks/go/utils"

	"hookwheel/delivery/receivertest"
	"hookwheel/httpapi/apitest"
	"hookwheel/systemtest/wait"
)

// goFlow is the life of a customer's webhooks with the unmodified Go SDK of Svix.
type goFlow struct {
	*testing.T
	*svix.Svix
	receiver *receivertest.Receiver
}

// refused asks for an error of the API with that status.
func (f *goFlow) refused(status int, err error) {
	f.Helper()
	var refusal *svix.Error
	if !errors.As(err, &refusal) || refusal.Status() != status || !strings.Contains(string(refusal.Body()), `"detail":`) {
		f.Errorf("got %v, want an error of the API with status %d", err, status)
	}
}

func (f *goFlow) verify(secret string, request receivertest.Arrival) {
	f.Helper()
	own, err := svix.NewWebhook(secret)
	if err != nil {
		f.Fatal(err)
	}
	official, err := standardwebhooks.NewWebhook(secret)
	if err != nil {
		f.Fatal(err)
	}
	if err := errors.Join(own.Verify(request.Body, request.Header), official.Verify(request.Body, request.Header)); err != nil {
		f.Errorf("a signature is not valid: %v", err)
	}
}

func (f *goFlow) send(payload string, change func(*models.MessageIn)) *models.MessageOut {
	f.Helper()
	in := svix.NewMessageInRaw("go.paid", payload, nil)
	in.Channels = []string{"east"}
	if change != nil {
		change(in)
	}
	return apitest.Need(f.Message.Create(f.Context(), "go", *in, nil))(f.T)
}

// with is the count-th request that carries a message.
func (f *goFlow) with(message string, count int) (found receivertest.Arrival) {
	f.Helper()
	wait.For(f, fmt.Sprintf("request %d with %s", count, message), func() bool {
		seen := 0
		for _, request := range f.receiver.Arrivals() {
			if request.ID == message {
				if seen++; seen == count {
					found = request
				}
			}
		}
		return seen >= count
	})
	return found
}

func TestSDKGo(t *testing.T) {
	a := apiStart(t)
	address := apitest.Proxy(t, a.url)
	f := &goFlow{t, apitest.NewSvix(t, address, apiToken), receivertest.Start(t, nil)}
	ctx, begin := t.Context(), time.Now()
	text := func(s string) *string { return &s }

	app := apitest.Need(f.Application.Create(ctx, models.ApplicationIn{Name: "Acme", Uid: text("go")}, nil))(t)
	if same := apitest.Need(f.Application.GetOrCreate(ctx, models.ApplicationIn{Name: "Other", Uid: text("go")}, nil))(t); same.Id != app.Id || same.Name != "Acme" {
		t.Errorf("get or create: %+v", same)
	}
	if app := apitest.Need(f.Application.Patch(ctx, "go", models.ApplicationPatch{ThrottleRate: utils.NewNullable(uint16(1000))}))(t); app.RateLimit == nil || *app.RateLimit != 1000 {
		t.Errorf("patch: %+v", app)
	}
	apitest.Need(f.EventType.Create(ctx, models.EventTypeIn{Name: "go.paid", Description: "Paid"}, nil))(t)
	endpoint := apitest.Need(f.Endpoint.Create(ctx, "go", models.EndpointIn{Url: f.receiver.URL, Uid: text("sales"), FilterTypes: []string{"go.paid"}, Channels: []string{"east"}}, nil))(t)
	secret := apitest.Need(f.Endpoint.GetSecret(ctx, "go", "sales"))(t).Key

	f.send(`{}`, func(in *models.MessageIn) { in.Channels = []string{"west"} })
	f.send(`{}`, func(in *models.MessageIn) { in.EventType = "go.failed" })
	message := f.send(`{"invoice":  1}`, func(in *models.MessageIn) { in.EventId = text("one") })
	f.verify(secret, f.with(message.Id, 1))
	if got := f.receiver.Await(t, 1); len(got) != 1 || string(got[0].Body) != `{"invoice":  1}` {
		t.Errorf("arrived: %+v", got)
	}
	if again := apitest.Need(f.Message.Get(ctx, "go", "one", nil))(t); again.Id != message.Id || again.Payload["invoice"] != 1.0 {
		t.Errorf("message: %+v", again)
	}
	wait.For(t, "an attempt", func() bool {
		return len(apitest.Need(f.MessageAttempt.ListByMsg(ctx, "go", "one", nil))(t).Data) == 1
	})
	attempt := apitest.Need(f.MessageAttempt.ListByEndpoint(ctx, "go", "sales", nil))(t).Data[0]
	if one := apitest.Need(f.MessageAttempt.Get(ctx, "go", message.Id, attempt.Id, nil))(t); one.Status != models.MESSAGESTATUS_SUCCESS || one.Response != "thanks" || one.EndpointId != endpoint.Id {
		t.Errorf("attempt: %+v", one)
	}
	if list := apitest.Need(f.MessageAttempt.ListAttemptedMessages(ctx, "go", "sales", nil))(t); list.Data[0].Id != message.Id {
		t.Errorf("attempted messages: %+v", list)
	}
	if list := apitest.Need(f.MessageAttempt.ListAttemptedDestinations(ctx, "go", "one", nil))(t); list.Data[0].Id != endpoint.Id {
		t.Errorf("attempted destinations: %+v", list)
	}
	apitest.Need(f.MessageAttempt.Resend(ctx, "go", "one", "sales", nil))(t)
	f.verify(secret, f.with(message.Id, 2))

	f.receiver.Say(http.StatusInternalServerError)
	lost := f.send(`{"lost":true}`, nil)
	wait.For(t, "the last attempt", func() bool {
		return len(apitest.Need(f.MessageAttempt.ListByMsg(ctx, "go", lost.Id, nil))(t).Data) == 3
	})
	f.receiver.Say(http.StatusOK)
	task := apitest.Need(f.Endpoint.Recover(ctx, "go", "sales", models.RecoverIn{Since: begin}, nil))(t)
	f.with(lost.Id, 4)
	wait.For(t, "the end of the task", func() bool {
		return apitest.Need(f.BackgroundTask.Get(ctx, task.Id))(t).Status == models.BACKGROUNDTASKSTATUS_FINISHED
	})

	raw := f.send("<xml/>", nil)
	if got := f.with(raw.Id, 1); string(got.Body) != "<xml/>" {
		t.Errorf("a raw payload arrived as %s", got.Body)
	}
	if err := f.Endpoint.RotateSecret(ctx, "go", "sales", models.EndpointSecretRotateIn{}, nil); err != nil {
		t.Fatal(err)
	}
	next := apitest.Need(f.Endpoint.GetSecret(ctx, "go", "sales"))(t).Key
	last := f.with(f.send(`{}`, nil).Id, 1)
	f.verify(secret, last)
	f.verify(next, last)

	_, err := f.Application.Get(ctx, "nobody")
	f.refused(404, err)
	_, err = f.Application.Create(ctx, models.ApplicationIn{Name: "Acme", Uid: text("go")}, nil)
	f.refused(409, err)
	_, err = f.Endpoint.Create(ctx, "go", models.EndpointIn{Url: "no url"}, nil)
	f.refused(422, err)
	_, err = f.Message.Create(ctx, "go", *svix.NewMessageInRaw("go.paid", strings.Repeat("x", 100_000), nil), nil)
	f.refused(413, err)
	_, err = apitest.NewSvix(t, address, "wrong").Application.List(ctx, nil)
	f.refused(401, err)

	if err := errors.Join(f.Endpoint.Delete(ctx, "go", "sales"), f.Application.Delete(ctx, "go")); err != nil {
		t.Error(err)
	}
	_, err = f.Application.Get(ctx, "go")
	f.refused(404, err)
}

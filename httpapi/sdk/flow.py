"""The life of a customer's webhooks with the unmodified PyPI package svix: python flow.py URL TOKEN"""

import http.server
import json
import sys
import threading
import time
from datetime import datetime, timezone

import standardwebhooks
from svix.api import (
    ApplicationIn,
    ApplicationPatch,
    EndpointHeadersPatchIn,
    EndpointIn,
    EndpointSecretRotateIn,
    EventTypeIn,
    MessageIn,
    RecoverIn,
    Svix,
    SvixOptions,
)
from svix.api.application import ApplicationListOptions
from svix.api.errors.http_error import HttpError
from svix.api.errors.http_validation_error import HTTPValidationError
from svix.api.message import MessageCreateOptions, MessageGetOptions
from svix.api.message_attempt import MessageAttemptListByMsgOptions
from svix.webhooks import Webhook


class Receiver:
    """Keeps what it is sent and answers what it is told to."""

    def __init__(self):
        self.requests, self.status = [], 200
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.requests.append(({k.lower(): v for k, v in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.end_headers()
                self.wfile.write(b"thanks")

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{server.server_port}/hook"
        threading.Thread(target=server.serve_forever, daemon=True).start()

    def find(self, message_id, count=1):
        def found():
            requests = [r for r in self.requests if r[0]["webhook-id"] == message_id]
            return requests[count - 1] if len(requests) >= count else None

        return until(f"request {count} with {message_id}", found)


def until(what, condition):
    for _ in range(1000):
        if value := condition():
            return value
        time.sleep(0.01)
    raise AssertionError(f"waited 10 s in vain for {what}")


def verify(secret, request):
    headers, body = request
    Webhook(secret).verify(body, headers)
    standardwebhooks.Webhook(secret).verify(body, headers)


def refused(status, call):
    try:
        call()
    except (HttpError, HTTPValidationError) as error:
        assert error.status_code == status, f"{error.status_code}, want {status}: {error}"
        assert error.detail, error
    else:
        raise AssertionError(f"was not refused with {status}")


def main(url, token):
    svix = Svix(token, SvixOptions(server_url=url))
    receiver = Receiver()
    begin = datetime.now(timezone.utc)

    app = svix.application.create(ApplicationIn(name="Acme", uid="py", metadata={"plan": "gold"}))
    assert svix.application.get_or_create(ApplicationIn(name="Other", uid="py")).name == "Acme"
    assert svix.application.patch("py", ApplicationPatch(throttle_rate=1000)).throttle_rate == 1000
    assert svix.application.upsert("py", ApplicationIn(name="Acme", uid="py")).throttle_rate is None
    assert app.id in [a.id for a in svix.application.list(ApplicationListOptions(limit=250)).data]

    svix.event_type.create(EventTypeIn(name="py.paid", description="Paid"))
    endpoint = svix.endpoint.create("py", EndpointIn(url=receiver.url, uid="sales", event_types=["py.paid"], channels=["east"]))
    assert endpoint.event_types == ["py.paid"] and endpoint.channels == ["east"], endpoint
    svix.endpoint.patch_headers("py", "sales", EndpointHeadersPatchIn(headers={"X-Tenant": "acme", "Authorization": "Bearer secret"}))
    headers = svix.endpoint.get_headers("py", "sales")
    assert headers.headers == {"X-Tenant": "acme"} and headers.sensitive == ["Authorization"], headers
    key = svix.endpoint.get_secret("py", "sales").key

    def send(payload, channel="east", event_id=None, **options):
        message = MessageIn(event_type="py.paid", channels=[channel], payload=payload)
        if event_id:
            message.event_id = event_id
        return svix.message.create("py", message, MessageCreateOptions(**options))

    send({}, channel="west")
    message = send({"invoice": 1, "text": "é"}, event_id="one", idempotency_key="once")
    assert send({"invoice": 1, "text": "é"}, event_id="one", idempotency_key="once").id == message.id
    first = receiver.find(message.id)
    verify(key, first)
    assert len(receiver.requests) == 1 and json.loads(first[1]) == {"invoice": 1, "text": "é"}
    assert svix.message.get("py", "one", MessageGetOptions(with_content=True)).payload == {"invoice": 1, "text": "é"}

    attempt = until("an attempt", lambda: svix.message_attempt.list_by_msg("py", "one").data)[0]
    assert attempt.status == 0 and attempt.status_text == "success" and attempt.response_status_code == 200, attempt
    assert svix.message_attempt.get("py", message.id, attempt.id).endpoint_id == endpoint.id
    assert [a.id for a in svix.message_attempt.list_by_endpoint("py", "sales").data] == [attempt.id]
    assert svix.message_attempt.list_attempted_messages("py", "sales").data[0].id == message.id
    assert svix.message_attempt.list_attempted_destinations("py", "one").data[0].id == endpoint.id
    svix.message_attempt.resend("py", "one", "sales")
    verify(key, receiver.find(message.id, 2))

    receiver.status = 500
    lost = send({"lost": True})
    until("the last attempt", lambda: len(svix.message_attempt.list_by_msg("py", lost.id, MessageAttemptListByMsgOptions(status=2)).data) == 3)
    receiver.status = 200
    task = svix.endpoint.recover("py", "sales", RecoverIn(since=begin))
    receiver.find(lost.id, 4)
    until("the end of the task", lambda: svix.background_task.get(task.id).status == "finished")

    svix.endpoint.rotate_secret("py", "sales", EndpointSecretRotateIn())
    new = svix.endpoint.get_secret("py", "sales").key
    assert new != key
    last = receiver.find(send({}).id)
    verify(key, last)
    verify(new, last)

    refused(404, lambda: svix.application.get("nobody"))
    refused(404, lambda: svix.endpoint.get("py", "nobody"))
    refused(409, lambda: svix.application.create(ApplicationIn(name="Acme", uid="py")))
    refused(409, lambda: send({}, event_id="one"))
    refused(422, lambda: svix.endpoint.create("py", EndpointIn(url="no url")))
    refused(422, lambda: svix.application.list(ApplicationListOptions(limit=1000)))
    refused(413, lambda: send({"large": "x" * 100_000}))
    refused(401, lambda: Svix("wrong", SvixOptions(server_url=url)).application.list())

    svix.endpoint.delete("py", "sales")
    refused(404, lambda: svix.endpoint.get("py", "sales"))
    svix.application.delete("py")
    refused(404, lambda: svix.application.get("py"))


main(*sys.argv[1:])

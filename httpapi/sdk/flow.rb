# The life of a customer's webhooks with the unmodified gem svix: ruby flow.rb URL TOKEN
require "json"
require "socket"
require "svix"
require "time"

# Receiver keeps what it is sent and answers what it is told to.
class Receiver
  attr_accessor :status
  attr_reader :url

  def initialize
    @requests, @status = Queue.new, 200
    @seen = []
    server = TCPServer.new("127.0.0.1", 0)
    @url = "http://127.0.0.1:#{server.addr[1]}/hook"
    Thread.new { loop { answer(server.accept) } }
  end

  # Answers one request: with "connection: close", each connection carries one.
  def answer(connection)
    connection.gets
    headers = {}
    while (line = connection.gets.chomp) != ""
      name, value = line.split(": ", 2)
      headers[name.downcase] = value
    end
    @requests << [headers, connection.read(headers["content-length"].to_i).force_encoding("UTF-8")]
    connection.write("HTTP/1.1 #{@status} Told\r\ncontent-length: 6\r\nconnection: close\r\n\r\nthanks")
    connection.close
  end

  def find(message, count = 1)
    wait_until("request #{count} with #{message}") do
      @seen << @requests.pop until @requests.empty?
      @seen.select { |headers, _| headers["webhook-id"] == message }[count - 1]
    end
  end
end

def wait_until(what)
  1000.times do
    value = yield
    return value if value
    sleep 0.01
  end
  raise "waited 10 s in vain for #{what}"
end

def verify(secret, request)
  headers, body = request
  Svix::Webhook.new(secret).verify(body, headers)
end

def equal(got, want)
  raise "got #{got.inspect}, want #{want.inspect}" unless got == want
end

def refused(status)
  yield
rescue Svix::ApiError => e
  equal(e.code.to_i, status)
  raise "no detail: #{e.response_body}" unless e.response_body.include?('"detail":')
else
  raise "was not refused with #{status}"
end

url, token = ARGV
connect = ->(key) { Svix::Client.new(key, Svix::SvixOptions.new(false, url)) }
svix = connect.(token)
receiver = Receiver.new
start = Time.now.utc.iso8601(3)

app = svix.application.create(Svix::ApplicationIn.new(name: "Acme", uid: "ruby"))
equal(svix.application.get_or_create(Svix::ApplicationIn.new(name: "Other", uid: "ruby")).id, app.id)
svix.event_type.create(Svix::EventTypeIn.new(name: "ruby.paid", description: "Paid"))
key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
endpoint = svix.endpoint.create("ruby", Svix::EndpointIn.new(url: receiver.url, uid: "sales", secret: key, event_types: ["ruby.paid"], channels: ["east"]))
equal(svix.endpoint.get_secret("ruby", "sales").key, key)

send = lambda do |payload, event_id = nil, **options|
  svix.message.create("ruby", Svix::MessageIn.new(event_type: "ruby.paid", channels: ["east"], payload: payload, event_id: event_id), options)
end
message = send.({text: "é"}, "one", "idempotency-key": "once")
equal(send.({text: "é"}, "one", "idempotency-key": "once").id, message.id)
first = receiver.find(message.id)
verify(key, first)
equal(JSON.parse(first[1]), {"text" => "é"})
attempt = wait_until("an attempt") { svix.message_attempt.list_by_msg("ruby", "one").data.first }
equal([attempt.response_status_code, attempt.endpoint_id], [200, endpoint.id])
equal(svix.message_attempt.list_by_endpoint("ruby", "sales").data.map(&:id), [attempt.id])
svix.message_attempt.resend("ruby", "one", "sales")
verify(key, receiver.find(message.id, 2))

receiver.status = 500
lost = send.({})
# Numbers in a query are given as text, as the SDK can't escape others.
wait_until("the last attempt") { svix.message_attempt.list_by_msg("ruby", lost.id, status: "2").data.length == 3 }
receiver.status = 200
task = svix.endpoint.recover("ruby", "sales", Svix::RecoverIn.new(since: start))
receiver.find(lost.id, 4)
wait_until("the end of the task") { svix.background_task.get(task.id).status == "finished" }

svix.endpoint.rotate_secret("ruby", "sales", Svix::EndpointSecretRotateIn.new)
following = svix.endpoint.get_secret("ruby", "sales").key
raise "the secret was not rotated" if following == key
last = receiver.find(send.({}).id)
verify(key, last)
verify(following, last)

customer = connect.(svix.authentication.app_portal_access("ruby", Svix::AppPortalAccessIn.new).token)
equal(customer.endpoint.list("ruby").data.map(&:id), [endpoint.id])
refused(403) { customer.application.list }
svix.message.expunge_content("ruby", message.id)
equal(svix.message.get("ruby", message.id, with_content: "true").payload, {"expired" => true})

3.times { |i| svix.application.create(Svix::ApplicationIn.new(name: "Page", uid: "ruby-#{i}")) }
seen, iterator = [], nil
loop do
  page = svix.application.list(limit: "3", iterator: iterator)
  seen += page.data.map(&:uid)
  iterator = page.iterator
  break if page.done
end
equal(seen, %w[ruby ruby-0 ruby-1 ruby-2])

refused(404) { svix.application.get("nobody") }
refused(409) { svix.application.create(Svix::ApplicationIn.new(name: "Acme", uid: "ruby")) }
refused(409) { send.({}, "one") }
refused(422) { svix.endpoint.create("ruby", Svix::EndpointIn.new(url: "no url")) }
refused(422) { svix.application.list(limit: "1000") }
refused(401) { connect.("wrong").application.list }
svix.endpoint.delete("ruby", "sales")
refused(404) { svix.endpoint.get("ruby", "sales") }

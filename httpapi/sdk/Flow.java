import com.svix.Svix;
import com.svix.SvixOptions;
import com.svix.Webhook;
import com.svix.api.ApplicationListOptions;
import com.svix.api.MessageAttemptListByMsgOptions;
import com.svix.api.MessageCreateOptions;
import com.svix.api.MessageGetOptions;
import com.svix.exceptions.ApiException;
import com.svix.models.*;
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.net.URI;
import java.net.http.HttpHeaders;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.Executors;

/**
 * The life of a customer's webhooks with the unmodified Maven artifact com.svix:svix:
 * java -cp 'target/dependency/*' Flow.java URL TOKEN
 */
public class Flow {
    record Request(HttpHeaders headers, String body) {}

    static final List<Request> requests = new CopyOnWriteArrayList<>();
    static volatile int status = 200;

    /** Keeps what it is sent and answers what it is told to. */
    static HttpServer receive() throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", 0), 0);
        server.setExecutor(Executors.newCachedThreadPool());
        server.createContext("/hook", exchange -> {
            String body = new String(exchange.getRequestBody().readAllBytes(), "UTF-8");
            requests.add(new Request(HttpHeaders.of(exchange.getRequestHeaders(), (name, value) -> true), body));
            exchange.sendResponseHeaders(status, 6);
            exchange.getResponseBody().write("thanks".getBytes());
            exchange.close();
        });
        server.start();
        return server;
    }

    static <T> T until(String what, Callable<T> condition) throws Exception {
        for (int i = 0; i < 1000; i++) {
            T value = condition.call();
            if (value != null) return value;
            Thread.sleep(10);
        }
        throw new AssertionError("waited 10 s in vain for " + what);
    }

    static Request find(String message, int count) throws Exception {
        return until("request " + count + " with " + message, () -> {
            List<Request> with = requests.stream().filter(r -> r.headers.firstValue("webhook-id").get().equals(message)).toList();
            return with.size() >= count ? with.get(count - 1) : null;
        });
    }

    static void verify(String secret, Request request) throws Exception {
        new Webhook(secret).verify(request.body, request.headers.map());
    }

    static void equal(Object got, Object want) {
        if (!got.equals(want)) throw new AssertionError("got " + got + ", want " + want);
    }

    static void refused(int status, Callable<?> call) throws Exception {
        try {
            call.call();
        } catch (ApiException e) {
            equal(e.getCode(), status);
            equal(e.getResponseBody().contains("\"detail\":"), true);
            return;
        }
        throw new AssertionError("was not refused with " + status);
    }

    static MessageOut send(Svix svix, String payload, String eventId, String key) throws Exception {
        MessageIn message = new MessageIn().eventType("java.paid").channels(Set.of("east")).payload(payload);
        MessageCreateOptions options = new MessageCreateOptions();
        if (eventId != null) message.eventId(eventId);
        if (key != null) options.setIdempotencyKey(key);
        return svix.getMessage().create("java", message, options);
    }

    public static void main(String[] args) {
        int code = 1;
        try {
            run(args[0], args[1]);
            code = 0;
        } catch (Throwable e) {
            e.printStackTrace();
        }
        System.exit(code); // ends the threads of the server and of the SDK
    }

    static void run(String address, String token) throws Exception {
        SvixOptions options = new SvixOptions();
        options.setServerUrl(address);
        Svix svix = new Svix(token, options);
        HttpServer server = receive();
        OffsetDateTime begin = OffsetDateTime.now();
        URI url = URI.create("http://127.0.0.1:" + server.getAddress().getPort() + "/hook");

        ApplicationOut app = svix.getApplication().create(new ApplicationIn().name("Acme").uid("java"));
        equal(svix.getApplication().getOrCreate(new ApplicationIn().name("Other").uid("java")).getId(), app.getId());
        svix.getEventType().create(new EventTypeIn().name("java.paid").description("Paid"));
        String key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        EndpointOut endpoint = svix.getEndpoint().create("java",
            new EndpointIn().url(url).uid("sales").secret(key).filterTypes(Set.of("java.paid")).channels(Set.of("east")));
        equal(svix.getEndpoint().getSecret("java", "sales").getKey(), key);
        svix.getEndpoint().patchHeaders("java", "sales", new EndpointHeadersPatchIn().headers(Map.of("X-Tenant", "acme")));
        equal(svix.getEndpoint().getHeaders("java", "sales").getHeaders(), Map.of("X-Tenant", "acme"));

        MessageOut message = send(svix, "{\"text\":\"é\"}", "one", "once");
        equal(send(svix, "{\"text\":\"é\"}", "one", "once").getId(), message.getId());
        Request first = find(message.getId(), 1);
        verify(key, first);
        equal(first.body, "{\"text\":\"é\"}");
        equal(first.headers.firstValue("x-tenant").get(), "acme");
        List<MessageAttemptOut> attempts = until("an attempt", () -> {
            List<MessageAttemptOut> data = svix.getMessageAttempt().listByMsg("java", "one").getData();
            return data.isEmpty() ? null : data;
        });
        equal(attempts.get(0).getResponse(), "thanks");
        equal(svix.getMessageAttempt().listByEndpoint("java", "sales").getData().get(0).getId(), attempts.get(0).getId());
        equal(svix.getMessageAttempt().listAttemptedDestinations("java", "one").getData().get(0).getId(), endpoint.getId());
        // No resend: the SDK makes that POST without a body, which OkHttp refuses to send.

        status = 500;
        MessageOut lost = send(svix, "{}", null, null);
        MessageAttemptListByMsgOptions failed = new MessageAttemptListByMsgOptions();
        failed.setStatus(MessageStatus.FAIL);
        until("the last attempt", () -> svix.getMessageAttempt().listByMsg("java", lost.getId(), failed).getData().size() == 3 ? true : null);
        status = 200;
        RecoverOut task = svix.getEndpoint().recover("java", "sales", new RecoverIn().since(begin));
        find(lost.getId(), 4);
        until("the end of the task", () -> svix.getBackgroundTask().get(task.getId()).getStatus() == BackgroundTaskStatus.FINISHED ? true : null);

        svix.getEndpoint().rotateSecret("java", "sales", new EndpointSecretRotateIn());
        String next = svix.getEndpoint().getSecret("java", "sales").getKey();
        equal(next.equals(key), false);
        Request last = find(send(svix, "{}", null, null).getId(), 1);
        verify(key, last);
        verify(next, last);

        AppPortalAccessOut portal = svix.getAuthentication().appPortalAccess("java", new AppPortalAccessIn());
        Svix customer = new Svix(portal.getToken(), options);
        equal(customer.getEndpoint().list("java").getData().get(0).getId(), endpoint.getId());
        refused(403, () -> customer.getApplication().list());
        svix.getMessage().expungeContent("java", message.getId());
        equal(svix.getMessage().get("java", message.getId()).getPayload(), Map.of("expired", true));

        for (int i = 0; i < 3; i++) svix.getApplication().create(new ApplicationIn().name("Page").uid("java-" + i));
        List<String> seen = new ArrayList<>();
        ApplicationListOptions page = new ApplicationListOptions();
        page.setLimit(3L);
        for (boolean done = false; !done; ) {
            ListResponseApplicationOut list = svix.getApplication().list(page);
            list.getData().forEach(a -> seen.add(a.getUid()));
            page.setIterator(list.getIterator());
            done = list.getDone();
        }
        equal(seen, List.of("java", "java-0", "java-1", "java-2"));

        refused(404, () -> svix.getApplication().get("nobody"));
        refused(409, () -> svix.getApplication().create(new ApplicationIn().name("Acme").uid("java")));
        refused(409, () -> send(svix, "{}", "one", null));
        refused(422, () -> svix.getEndpoint().create("java", new EndpointIn().url(URI.create("no-url"))));
        refused(422, () -> {
            page.setLimit(1000L);
            return svix.getApplication().list(page);
        });
        refused(401, () -> new Svix("wrong", options).getApplication().list());
        svix.getEndpoint().delete("java", "sales");
        refused(404, () -> svix.getEndpoint().get("java", "sales"));
    }
}

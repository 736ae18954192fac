/* llm_server.h - a language model on the loopback that says what a test tells it to, in the wire format, and remembers what it was asked.
 *
 * It lives on the test's own event loop. Each request gets the next line of the script; behind its end, the last one. */
#ifndef TESTS_LLM_SERVER_H
#define TESTS_LLM_SERVER_H
#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "base/arena.h"
#include "base/buf.h"

enum { LLM_SERVER_SCRIPT = 16, LLM_SERVER_SEEN = 32 };

typedef struct LlmServerLine {
    int status;                                          /* 0: 200 */
    const char *type, *headers, *body;                   /* type NULL: application/json; headers: more of them, each with CRLF */
    size_t step;                                         /* bytes a write; 0: all at once */
    bool hang;                                           /* after the body the connection stays open, and nothing comes */
    bool reset;                                          /* after the body it is closed in the middle of a chunk */
    bool unsent;                                         /* closed before anything was sent */
} LlmServerLine;

typedef struct LlmServer {
    struct event_base *loop;
    struct evconnlistener *listener;
    char url[64];
    LlmServerLine script[LLM_SERVER_SCRIPT]; size_t script_count, next;
    char *seen[LLM_SERVER_SEEN]; size_t seen_count;      /* head and body of each request */
    struct LlmServerClient *clients;
} LlmServer;

typedef struct LlmServerClient {
    LlmServer *server;
    struct LlmServerClient *next;
    struct bufferevent *stream;
    Buf out; size_t sent, step;
    bool hang;
} LlmServerClient;

static inline void llm_server_drop(LlmServerClient *client)
{
    LlmServerClient **at = &client->server->clients;
    while (*at != client) at = &(*at)->next;
    *at = client->next;
    bufferevent_free(client->stream);
    buf_free(&client->out);
    free(client);
}

static inline void llm_server_write(struct bufferevent *stream, void *arg)
{
    LlmServerClient *client = arg;
    size_t left = client->out.len - client->sent, len = client->step && client->step < left ? client->step : left;
    if (client->out.len == 0 || evbuffer_get_length(bufferevent_get_output(stream))) return;
    client->sent += len;
    if (left) bufferevent_write(stream, client->out.ptr + client->sent - len, len);
    else if (!client->hang) llm_server_drop(client);
}

static inline void llm_server_answer(LlmServerClient *client)
{
    LlmServer *server = client->server;
    const LlmServerLine *line = &server->script[server->next < server->script_count ? server->next : server->script_count - 1];
    server->next++;
    if (line->unsent) { llm_server_drop(client); return; }
    const char *body = line->body ? line->body : "";
    buf_printf(&client->out, "HTTP/1.1 %d x\r\nContent-Type: %s\r\n%sTransfer-Encoding: chunked\r\n\r\n", line->status ? line->status : 200, line->type ? line->type : "application/json", line->headers ? line->headers : "");
    for (size_t at = 0, len = strlen(body); at < len;) {
        size_t part = line->step && line->step < len - at ? line->step : len - at;
        buf_printf(&client->out, "%zx\r\n", part);
        buf_put(&client->out, body + at, part);
        buf_put_text(&client->out, "\r\n");
        at += part;
    }
    if (line->reset) buf_put_text(&client->out, "5\r\nda");
    else if (!line->hang) buf_put_text(&client->out, "0\r\n\r\n");
    client->step = line->step;
    client->hang = line->hang;
    llm_server_write(client->stream, client);
}

static inline void llm_server_read(struct bufferevent *stream, void *arg)
{
    LlmServerClient *client = arg;
    LlmServer *server = client->server;
    struct evbuffer *in = bufferevent_get_input(stream);
    size_t have = evbuffer_get_length(in);
    char *text = mem_alloc(have + 1);
    evbuffer_copyout(in, text, have);
    const char *end = strstr(text, "\r\n\r\n"), *length = strcasestr(text, "content-length:");
    if (!end || !length || have < (size_t)(end + 4 - text) + (size_t)atoi(length + 15)) { free(text); return; }
    evbuffer_drain(in, have);
    if (server->seen_count == LLM_SERVER_SEEN) abort();
    server->seen[server->seen_count++] = text;
    llm_server_answer(client);
}

static inline void llm_server_gone(struct bufferevent *stream, short what, void *arg)
{
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) llm_server_drop(arg);
}

static inline void llm_server_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from, int len, void *arg)
{
    LlmServer *server = arg;
    LlmServerClient *client = mem_alloc(sizeof *client);
    *client = (LlmServerClient){ .server = server, .next = server->clients, .stream = bufferevent_socket_new(server->loop, fd, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS) };
    server->clients = client;
    bufferevent_setcb(client->stream, llm_server_read, llm_server_write, llm_server_gone, client);
    bufferevent_enable(client->stream, EV_READ | EV_WRITE);
}

static inline LlmServer *llm_server_new(struct event_base *loop)
{
    LlmServer *server = mem_alloc(sizeof *server);
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof address;
    server->loop = loop;
    server->listener = evconnlistener_new_bind(loop, llm_server_accept, server, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_REUSEABLE, -1, (struct sockaddr *)&address, sizeof address);
    getsockname(evconnlistener_get_fd(server->listener), (struct sockaddr *)&address, &len);
    snprintf(server->url, sizeof server->url, "http://127.0.0.1:%d", ntohs(address.sin_port));
    return server;
}

static inline void llm_server_forget(LlmServer *server)
{
    for (size_t i = 0; i < server->seen_count; i++) free(server->seen[i]);
    server->seen_count = server->next = server->script_count = 0;
}

static inline void llm_server_free(LlmServer *server)
{
    while (server->clients) llm_server_drop(server->clients);
    evconnlistener_free(server->listener);
    llm_server_forget(server);
    free(server);
}

static inline void llm_server_say(LlmServer *server, LlmServerLine line) { server->script[server->script_count++] = line; }
#endif

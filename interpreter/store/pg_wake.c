/* pg_wake.c - LISTEN: another process left work, so the loop is told.
 *
 * A connection of its own waits on a lane of its own. What our own connections announce is left out. After the server was lost the lane
 * connects again and again (PG_BACKOFF_MAX_MS), and wakes the loop once when it is back: nobody knows what was announced meanwhile.
 * The callback never runs on the lane, but from an event of the loop.
 */
#include "interpreter/store/pg.h"

#include "interpreter/store/lane.h"

#include <event2/event.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct PgWake {
    PgStore *store;
    PgConn *conn;
    Lane *lane;
    struct event *event;
    void (*wake)(void *arg); void *arg;
    int stop_fd;                         /* readable: the lane should end */
    bool stopping;
} PgWake;

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    PgWake *w = arg;
    w->wake(w->arg);
}

void pg_wake_soon(PgStore *store)
{
    if (store->wake)
        event_active(store->wake->event, EV_TIMEOUT, 0);
}

static bool is_ours(const PgStore *store, int pid)
{
    for (uint32_t i = 0; i < store->conn_count; i++)
        if (store->conns[i]->pg && PQbackendPID(store->conns[i]->pg) == pid)
            return true;
    return false;
}

static void take_notifications(PgWake *w)
{
    bool wake = false;
    for (PGnotify *n; (n = PQnotifies(w->conn->pg)); PQfreemem(n))
        wake |= !is_ours(w->store, n->be_pid);
    if (wake)
        pg_wake_soon(w->store);
}

static Err listen_again(PgWake *w)
{
    Buf sql = { 0 }, channel = { 0 };
    buf_printf(&channel, "flow:%s", w->store->schema);
    buf_put_text(&sql, "LISTEN ");
    pg_quote(&sql, buf_cstr(&channel));
    Err err = pg_ready(w->conn, 0, NULL);
    if (!err)
        err = pg_execute(w->conn, buf_cstr(&sql), NULL);
    buf_free(&sql);
    buf_free(&channel);
    return err;
}

static void listen_on_lane(void *arg)
{
    PgWake *w = arg;
    for (int pause = PG_BACKOFF_MS; !w->stopping; pause = pause * 2 < PG_BACKOFF_MAX_MS ? pause * 2 : PG_BACKOFF_MAX_MS) {
        if (listen_again(w) == ERR_OK) {
            pause = PG_BACKOFF_MS;
            pg_wake_soon(w->store);                         /* what came before nobody heard */
            while (!w->stopping && pg_alive(w->conn)) {
                take_notifications(w);
                lane_wait_fd(PQsocket(w->conn->pg), LANE_READ, -1);
            }
        }
        pg_drop(w->conn);
        if (!w->stopping)
            lane_wait_fd(w->stop_fd, LANE_READ, pause);
    }
}

void pg_wake_start(PgStore *store, void (*wake)(void *arg), void *arg)
{
    if (!store->loop)
        return;
    PgWake *w = mem_alloc(sizeof *w);
    w->store = store;
    w->wake = wake;
    w->arg = arg;
    w->conn = pg_conn_new(store, CONN_READS);
    w->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    w->event = event_new(store->loop, -1, 0, on_event, w);
    w->lane = lane_new(store->loop);
    store->wake = w;
    lane_start(w->lane, listen_on_lane, w);
}

void pg_wake_stop(PgStore *store)
{
    PgWake *w = store->wake;
    if (!w)
        return;
    w->stopping = true;
    eventfd_write(w->stop_fd, 1);
    if (w->conn->pg && PQsocket(w->conn->pg) >= 0)
        shutdown(PQsocket(w->conn->pg), SHUT_RDWR);
    while (lane_busy(w->lane))
        lane_drive(&w->lane, 1, PG_BACKOFF_MAX_MS);
    store->wake = NULL;
    lane_free(w->lane);
    event_free(w->event);
    pg_conn_free(w->conn);
    close(w->stop_fd);
    free(w);
}

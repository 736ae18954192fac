/* lane.c - lanes on ucontext. The sanitizers are told of every change of stacks, or they would take it for an overflow.
 *
 * swapcontext asks the kernel for the signal mask at each change of stacks, which is the same on all of them. So it makes a stack once; after that lanes
 * come and go by setjmp and longjmp. Those that check where longjmp goes (_FORTIFY_SOURCE) take another stack for a mistake. */
#undef _FORTIFY_SOURCE
#include "interpreter/store/lane.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "base/arena.h"

#if defined(__SANITIZE_ADDRESS__)
#define LANE_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define LANE_ASAN 1
#endif
#endif
#ifdef LANE_ASAN
#include <sanitizer/common_interface_defs.h>
#define LEAVE(save, bottom, size) __sanitizer_start_switch_fiber((save), (bottom), (size))
#define ARRIVE(save, bottom, size) __sanitizer_finish_switch_fiber((save), (bottom), (size))
typedef ucontext_t Place;                /* their longjmp would look at the stack it comes from */
#define GO(from, to) swapcontext(&(from), &(to))
#else
typedef jmp_buf Place;
#define GO(from, to) do { if (_setjmp(from) == 0) _longjmp((to), 1); } while (0)
#define LEAVE(save, bottom, size) ((void)0)
#define ARRIVE(save, bottom, size) ((void)0)
#endif

struct Lane {
    Place self, caller;
    bool entered;                        /* its stack has begun */
    char *memory; size_t guard;
    struct event_base *loop;
    struct event *event;
    void (*body)(void *arg); void *arg;
    bool busy;
    int fd, want, timeout_ms, got;       /* what it waits for; what came */
    int64_t until_ms;                    /* the end of its time, for lane_drive */
#ifdef LANE_ASAN
    void *self_fake, *caller_fake;
    const void *caller_bottom; size_t caller_size;
#endif
};

static Lane *current;

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool lane_current(void) { return current != NULL; }
bool lane_busy(const Lane *lane) { return lane->busy; }

static char *stack_of(const Lane *lane) { return lane->memory + lane->guard; }

Lane *lane_new(struct event_base *loop)
{
    Lane *lane = mem_alloc(sizeof *lane);
    lane->guard = (size_t)sysconf(_SC_PAGESIZE);
    lane->memory = mmap(NULL, lane->guard + LANE_STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (lane->memory == MAP_FAILED || mprotect(lane->memory, lane->guard, PROT_NONE) != 0)
        abort();                                            /* as mem_alloc: there is no going on without memory */
    lane->loop = loop;
    lane->fd = -1;
    return lane;
}

/* What happens on the stack: one body after the other, and an end that the sanitizers hear of. makecontext passes ints only, so the lane comes by `current`. */
static void enter(void)
{
    Lane *lane = current;
    ARRIVE(NULL, &lane->caller_bottom, &lane->caller_size);
    while (lane->body) {
        lane->body(lane->arg);
        lane->busy = false;
        LEAVE(&lane->self_fake, lane->caller_bottom, lane->caller_size);
        GO(lane->self, lane->caller);
        ARRIVE(lane->self_fake, &lane->caller_bottom, &lane->caller_size);
    }
    LEAVE(NULL, lane->caller_bottom, lane->caller_size);
    GO(lane->self, lane->caller);
}

static void enter_first(Lane *lane)
{
    ucontext_t first;
    getcontext(&first);
    first.uc_stack.ss_sp = stack_of(lane);
    first.uc_stack.ss_size = LANE_STACK_BYTES;
    first.uc_link = NULL;
    makecontext(&first, enter, 0);
    lane->entered = true;
#ifdef LANE_ASAN
    swapcontext(&lane->caller, &first);
#else
    if (_setjmp(lane->caller) == 0)
        setcontext(&first);
#endif
}

static void resume(Lane *lane)
{
    assert(!current);
    current = lane;
    LEAVE(&lane->caller_fake, stack_of(lane), LANE_STACK_BYTES);
    if (lane->entered)
        GO(lane->caller, lane->self);
    else
        enter_first(lane);
    ARRIVE(lane->caller_fake, NULL, NULL);
    current = NULL;
}

void lane_free(Lane *lane)
{
    if (!lane)
        return;
    assert(!lane->busy);
    if (lane->entered) {
        lane->body = NULL;
        resume(lane);
    }
    if (lane->event)
        event_free(lane->event);
    munmap(lane->memory, lane->guard + LANE_STACK_BYTES);
    free(lane);
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    Lane *lane = arg;
    lane->got = (what & EV_READ ? LANE_READ : 0) | (what & EV_WRITE ? LANE_WRITE : 0);
    resume(lane);
}

/* Puts what a stopped lane waits for into the loop. */
static void watch(Lane *lane)
{
    if (!lane->loop || !lane->busy)
        return;
    struct timeval time = { lane->timeout_ms / 1000, lane->timeout_ms % 1000 * 1000 };
    short what = (short)((lane->want & LANE_READ ? EV_READ : 0) | (lane->want & LANE_WRITE ? EV_WRITE : 0));
    if (!lane->event)
        lane->event = event_new(lane->loop, lane->fd, what, on_ready, lane);
    else
        event_assign(lane->event, lane->loop, lane->fd, what, on_ready, lane);
    event_add(lane->event, lane->timeout_ms >= 0 ? &time : NULL);
}

void lane_start(Lane *lane, void (*body)(void *arg), void *arg)
{
    assert(!lane->busy);
    lane->body = body;
    lane->arg = arg;
    lane->busy = true;
    resume(lane);
}

static int wait_here(int fd, int what, int timeout_ms)
{
    struct pollfd poll_fd = { .fd = fd, .events = (short)((what & LANE_READ ? POLLIN : 0) | (what & LANE_WRITE ? POLLOUT : 0)) };
    int n = poll(&poll_fd, 1, timeout_ms);
    if (n <= 0)
        return n < 0 && errno == EINTR ? wait_here(fd, what, timeout_ms) : 0;
    return poll_fd.revents & (POLLERR | POLLHUP) ? what : (poll_fd.revents & POLLIN ? LANE_READ : 0) | (poll_fd.revents & POLLOUT ? LANE_WRITE : 0);
}

int lane_wait_fd(int fd, int what, int timeout_ms)
{
    Lane *lane = current;
    if (!lane)
        return wait_here(fd, what, timeout_ms);
    lane->fd = fd;
    lane->want = what;
    lane->timeout_ms = timeout_ms;
    lane->got = 0;
    lane->until_ms = timeout_ms >= 0 ? now_ms() + timeout_ms : INT64_MAX;
    watch(lane);
    LEAVE(&lane->self_fake, lane->caller_bottom, lane->caller_size);
    GO(lane->self, lane->caller);
    ARRIVE(lane->self_fake, &lane->caller_bottom, &lane->caller_size);
    return lane->got;
}

enum { LANE_DRIVE_MAX = 64 };

bool lane_drive(Lane *const *lanes, size_t count, int timeout_ms)
{
    struct pollfd fds[LANE_DRIVE_MAX];
    Lane *busy[LANE_DRIVE_MAX];
    nfds_t n = 0;
    int64_t now = now_ms(), until = timeout_ms >= 0 ? now + timeout_ms : INT64_MAX;
    for (size_t i = 0; i < count && n < LANE_DRIVE_MAX; i++) {
        Lane *lane = lanes[i];
        if (!lane || !lane->busy)
            continue;
        fds[n] = (struct pollfd){ .fd = lane->fd, .events = (short)((lane->want & LANE_READ ? POLLIN : 0) | (lane->want & LANE_WRITE ? POLLOUT : 0)) };
        busy[n++] = lane;
        until = lane->until_ms < until ? lane->until_ms : until;
    }
    if (n == 0)
        return false;
    int64_t left = until == INT64_MAX ? -1 : until > now ? until - now : 0;
    int ready = poll(fds, n, left > INT_MAX ? INT_MAX : (int)left);
    if (ready < 0)
        return errno == EINTR;
    bool any = false;
    now = now_ms();
    for (nfds_t i = 0; i < n; i++) {
        short got = fds[i].revents;
        if (!got && busy[i]->until_ms > now)
            continue;
        if (busy[i]->event)
            event_del(busy[i]->event);
        busy[i]->got = got & (POLLERR | POLLHUP) ? busy[i]->want : (got & POLLIN ? LANE_READ : 0) | (got & POLLOUT ? LANE_WRITE : 0);
        resume(busy[i]);
        any = true;
    }
    return any;
}

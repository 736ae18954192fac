/* redis_pipe.h - writing to a server that may be gone: the library writes without MSG_NOSIGNAL, and SIGPIPE must not end this process. */
#ifndef STORE_REDIS_PIPE_H
#define STORE_REDIS_PIPE_H
#include <signal.h>
#include <stdbool.h>
#include <time.h>

typedef struct PipeGuard { sigset_t before; bool blocked; } PipeGuard;

static inline PipeGuard pipe_guard(void)
{
    PipeGuard guard;
    sigset_t pipe;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, &guard.before);
    guard.blocked = sigismember(&guard.before, SIGPIPE) == 1;
    return guard;
}

/* Takes away the signal that came meanwhile, unless whoever blocked it before wants it. */
static inline void pipe_unguard(const PipeGuard *guard)
{
    sigset_t pipe, waiting;
    if (guard->blocked)
        return;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    if (sigpending(&waiting) == 0 && sigismember(&waiting, SIGPIPE) == 1)
        sigtimedwait(&pipe, NULL, &(struct timespec){ 0 });
    pthread_sigmask(SIG_SETMASK, &guard->before, NULL);
}
#endif

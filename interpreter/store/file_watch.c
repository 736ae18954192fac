/* file_watch.c - one inotify descriptor for one file, and the timer of the looks. */
#include "interpreter/store/file_watch.h"

#include "base/arena.h"

#include <event2/event.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <unistd.h>

struct FileWatch {
    int fd, looks;                       /* since the write that is looked for */
    struct event *written, *again;
    bool (*look)(void *arg); void *arg;
};

static void look_later(FileWatch *watch)
{
    if (watch->looks == FILE_WATCH_LOOKS)
        return;
    int wait_ms = FILE_WATCH_FIRST_MS << watch->looks++;
    event_add(watch->again, &(struct timeval){ wait_ms / 1000, wait_ms % 1000 * 1000 });
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
    FileWatch *watch = arg;
    if (!watch->look(watch->arg))
        look_later(watch);
}

static void on_written(evutil_socket_t fd, short what, void *arg)
{
    FileWatch *watch = arg;
    char events[4096];
    while (read(fd, events, sizeof events) > 0)
        continue;                                           /* which they are does not matter: there is one file */
    watch->looks = 0;
    if (!event_pending(watch->again, EV_TIMEOUT, NULL))
        look_later(watch);
}

FileWatch *file_watch_new(struct event_base *loop, const char *path, bool (*look)(void *arg), void *arg)
{
    int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (fd < 0 || inotify_add_watch(fd, path, IN_MODIFY) < 0) {
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    FileWatch *watch = mem_alloc(sizeof *watch);
    *watch = (FileWatch){ .fd = fd, .look = look, .arg = arg };
    watch->written = event_new(loop, fd, EV_READ | EV_PERSIST, on_written, watch);
    watch->again = evtimer_new(loop, on_again, watch);
    event_add(watch->written, NULL);
    return watch;
}

void file_watch_free(FileWatch *watch)
{
    if (!watch)
        return;
    event_free(watch->written);
    event_free(watch->again);
    close(watch->fd);
    free(watch);
}

/* file_watch.h - tells the loop that somebody wrote to a file: inotify, no polling.
 *
 * A write may be seen before what it means can be read (a database makes its commit visible after the disk has it). So look() is called
 * again after growing whiles, FILE_WATCH_LOOKS times in all, until it returns true; then there is silence until the next write. The calls
 * come from the loop, some for any number of writes, also for our own. The file must exist. NULL when the system has no watch to give
 * (fs.inotify.max_user_watches): whoever needs one must then look by itself.
 */
#ifndef STORE_FILE_WATCH_H
#define STORE_FILE_WATCH_H
#include <stdbool.h>

struct event_base;
typedef struct FileWatch FileWatch;

enum { FILE_WATCH_LOOKS = 10, FILE_WATCH_FIRST_MS = 1 };   /* 1 ms, then twice as long each time: over a second */

FileWatch *file_watch_new(struct event_base *loop, const char *path, bool (*look)(void *arg), void *arg);
void file_watch_free(FileWatch *watch);                    /* takes NULL */
#endif

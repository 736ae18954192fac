/* lane.h - a conversation with a server, written as if it waited, that does not hold up the loop.
 *
 * A lane is a stack of its own (ucontext). Inside it lane_wait_fd() gives the processor back to whoever resumed the lane and returns when
 * the descriptor is ready; the event loop resumes it, or lane_drive() does where there is no loop or it must not run. Outside of any lane
 * lane_wait_fd() simply waits, so the code beneath need not know. One thread; a lane is resumed from outside of all lanes only.
 * Owner: whoever made it. A body must end before lane_free(). Stacks have a guard page.
 */
#ifndef STORE_LANE_H
#define STORE_LANE_H
#include <stdbool.h>
#include <stddef.h>

typedef struct Lane Lane;
struct event_base;

enum { LANE_STACK_BYTES = 256 << 10, LANE_READ = 1, LANE_WRITE = 2 };

Lane *lane_new(struct event_base *loop);                               /* NULL: only lane_drive resumes it */
void  lane_free(Lane *lane);
bool  lane_busy(const Lane *lane);
void  lane_start(Lane *lane, void (*body)(void *arg), void *arg);      /* runs it to its first wait or its end; not while busy */
/* Which of `what` is ready; 0 after timeout_ms (-1: for ever). */
int   lane_wait_fd(int fd, int what, int timeout_ms);
bool  lane_current(void);                                              /* inside a lane? */
/* Waits until at least one of these lanes can go on, and resumes those that can. False when none is busy or the time is over. */
bool  lane_drive(Lane *const *lanes, size_t count, int timeout_ms);
#endif

/* ui.h - the page for people under /ui: which static file an address means.
 *
 * The files of interpreter/gateway/ui are part of the program. They hold no data and are for everybody; the page asks the same API as any client, with
 * its user's token. All texts are constants.
 */
#ifndef GATEWAY_UI_H
#define GATEWAY_UI_H
#include "interpreter/gateway/reply.h"

bool ui_is(Str path);                                    /* "/ui" or below; no route may be there */
/* False: no such file. Else *reply is the file, with headers that let the page load scripts, styles and data from this origin and nothing else. */
bool ui_reply(Str path, Reply *reply);
#endif

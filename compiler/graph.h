/* graph.h - a program as Mermaid: a flow as sequence diagram, a machine or saga as state diagram. Made from the checked tree; the names of
 * participants are those that a trace of a run shows, so the two pictures can be laid side by side. */
#ifndef COMPILER_GRAPH_H
#define COMPILER_GRAPH_H
#include "compiler/typed.h"

enum { GRAPH_CALL_DEPTH_MAX = 8 };

/* All flows, machines and sagas of the main module, or the one that is called `name` (a flow or a machine). False: there is none. */
bool graph_program(const Program *program, Str name, Buf *out);
#endif

/* image.h - a compiled program: what the compiler builds, the file holds and the machine runs.
 *
 * One Image holds everything a run needs, also years later: types, constants, functions, effects, queries, tables, events,
 * entry points. Its canonical bytes (image_encode) hashed with SHA-256 are its identity; a run is pinned to that hash.
 * The builder part is for the compiler; image_decode + image_verify give the loaded form, after which nothing checks an operand.
 * Everything is in the image's arena; indexes are 0-based; NO_INDEX means none. Limits below: ERR_LIMIT.
 *
 * A plan compiled while a program runs becomes an extension: an Image whose tables begin with those of its base (image_extend below).
 *
 * Fixed types: the first rows of `types` are always TYPE_INDEX_* in this order, so that both sides know them.
 */
#ifndef BYTECODE_IMAGE_H
#define BYTECODE_IMAGE_H
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/hash.h"
#include "base/decimal.h"

enum {
    IMAGE_VERSION = 7, FLOW_PRIORITY_MAX = 1000, IMAGE_SIZE_MAX = 16 << 20, IMAGE_INDEX_MAX = 65000, FUNC_CODE_MAX = 1000000, FUNC_REGS_MAX = 4096,
    FUNC_PARAMS_MAX = 64, RECORD_FIELDS_MAX = 64, TYPE_DEPTH_MAX = 32, CONST_BYTES_MAX = 1 << 20, NO_INDEX = 0xFFFF
};

typedef enum {
    KIND_VOID, KIND_BOOL, KIND_INT, KIND_FLOAT, KIND_DECIMAL, KIND_STRING, KIND_DATE, KIND_TIMESTAMP, KIND_DURATION, KIND_BYTES, KIND_JSON,
    KIND_ERROR, KIND_GROUP, KIND_OPT, KIND_LIST, KIND_MAP, KIND_RECORD, KIND_ENUM
} TypeKind;

/* The fixed rows. ERROR is a record-shaped kind: its fields are ERROR_FIELD_*; ERROR_KIND is the enum of error kinds. */
enum {
    TYPE_INDEX_VOID, TYPE_INDEX_BOOL, TYPE_INDEX_INT, TYPE_INDEX_FLOAT, TYPE_INDEX_DECIMAL, TYPE_INDEX_STRING, TYPE_INDEX_DATE, TYPE_INDEX_TIMESTAMP,
    TYPE_INDEX_DURATION, TYPE_INDEX_BYTES, TYPE_INDEX_JSON, TYPE_INDEX_ERROR, TYPE_INDEX_GROUP, TYPE_INDEX_ERROR_KIND, TYPE_INDEX_OPT_DURATION,
    TYPE_INDEX_OPT_ERROR, TYPE_INDEX_LIST_STRING, TYPE_INDEX_FIXED_COUNT
};
enum { ERROR_FIELD_KIND, ERROR_FIELD_MESSAGE, ERROR_FIELD_STATUS, ERROR_FIELD_CODE, ERROR_FIELD_RETRY_AFTER, ERROR_FIELD_CAUSE, ERROR_FIELD_UNDONE,
       ERROR_FIELD_NOT_UNDONE, ERROR_FIELD_AT, ERROR_FIELD_COUNT };     /* enum, string, int (0 none), string, duration?, error?, list<string>, list<string>, string */
/* Error kinds, in this order (ordinal of ERROR_KIND). */
#define ERROR_KINDS(K) K(invalid) K(denied) K(not_found) K(conflict) K(timeout) K(unavailable) K(rejected) K(rate_limited) K(cancelled) K(in_doubt) K(internal)
typedef enum {
#define K(name) ERROR_KIND_##name,
    ERROR_KINDS(K)
#undef K
    ERROR_KIND_COUNT
} ErrorKind;

enum { LABEL_PII = 1, LABEL_SECRET = 2, LABEL_UNTRUSTED = 4, LABEL_TRUSTED = 8 /* of a parameter: only what a person wrote may stand there */ };

/* A field of a type has its default as a json constant, which stands in when JSON without the field is read. A parameter only says that there is one, since code
   fills it in: default_const is 0, or for a parameter of a tool whose default is a literal the json constant of it. */
typedef struct ImageField { Str name; uint16_t type; uint8_t labels; bool has_default; uint16_t default_const; } ImageField;
typedef struct ImageType {
    TypeKind kind;
    uint16_t element;                    /* OPT, LIST, MAP */
    Str name;                            /* RECORD, ENUM: may be empty */
    ImageField *fields; uint16_t field_count;            /* RECORD; ERROR too once loaded */
    Str *members; uint16_t member_count;                 /* ENUM */
    Str *member_patterns;                                /* ENUM: regex source "flags/pattern" of `like`, or empty; NULL when none */
    Str *field_patterns;                                 /* RECORD: the same for fields; NULL when none */
    uint64_t counted_mask;                               /* RECORD: bit i set when field i is counted; made on load */
} ImageType;

typedef uint64_t Insn;
#define INSN(op, a, b, c) ((Insn)(uint16_t)(op) | (Insn)(uint16_t)(a) << 16 | (Insn)(uint16_t)(b) << 32 | (Insn)(uint16_t)(c) << 48)
#define INSN_OP(i) ((uint16_t)(i))
#define INSN_A(i)  ((uint16_t)((i) >> 16))
#define INSN_B(i)  ((uint16_t)((i) >> 32))
#define INSN_C(i)  ((uint16_t)((i) >> 48))
#define INSN_BC(i) ((uint32_t)((i) >> 32))

typedef enum {
#define OP(num, NAME, a, b, c, flags, meaning) OP_##NAME = num,
#include "interpreter/bytecode/opcodes.def"
#undef OP
} Opcode;
typedef enum {
#define EFFECT(num, NAME, class, meaning) EFFECT_##NAME = num,
#include "interpreter/bytecode/effects.def"
#undef EFFECT
} EffectKind;
typedef enum { EFFECT_CLASS_OWN, EFFECT_CLASS_READ, EFFECT_CLASS_WRITE, EFFECT_CLASS_OUTSIDE, EFFECT_CLASS_PARK, EFFECT_CLASS_NOTE } EffectClass;
typedef enum {
#define BUILTIN(num, NAME, receiver, name, params, result) BUILTIN_##NAME = num,
#include "interpreter/bytecode/builtins.def"
#undef BUILTIN
} Builtin;

const char *opcode_name(uint16_t op);                    /* NULL when unknown */
const char *effect_name(uint16_t kind);                  /* "ask"; NULL when unknown */
EffectClass effect_class(EffectKind kind);
const char *error_kind_name(ErrorKind kind);

typedef struct ImageConst { uint16_t type; uint64_t word; Str bytes; } ImageConst;   /* scalar: word. string/bytes/decimal/json: bytes (decimal and json as text) */

typedef enum { TRY_CATCH, TRY_FINALLY, TRY_SCOPE } TryKind;   /* CATCH: failures of the program; FINALLY: also cancellation and outer deadlines; SCOPE: turns its own expired deadline into an ordinary timeout */
typedef struct ImageTry { uint32_t from, to, handler; uint16_t error_reg; uint8_t kind; } ImageTry;  /* pc in [from, to); innermost first; error_reg has type ERROR */
typedef struct ImageLine { uint32_t pc; uint16_t file; uint32_t line; uint16_t column; } ImageLine;  /* ascending pc */

typedef enum { FUNC_FN, FUNC_TOOL, FUNC_FLOW, FUNC_BRANCH, FUNC_COMPENSATION, FUNC_HANDLER, FUNC_TEST, FUNC_KEY, FUNC_INIT, FUNC_PLAN } FuncKind;     /* PLAN: () -> json, called by CALL_PLAN alone, confined (image_verify_extension) */
enum { FUNC_FLAG_CRITICAL = 1, FUNC_FLAG_SECRET_RESULT = 2, FUNC_FLAG_PII_RESULT = 4 };
typedef struct ImageFunc {
    Str name;                            /* "travel.book_flight", "book_trip", "book_trip#1" */
    uint8_t kind, flags;
    uint16_t owner;                      /* TOOL: tool index; FLOW: flow index; HANDLER: handler index; TEST: test index; else NO_INDEX */
    uint16_t agent;                      /* whose code this is: agent index, or NO_INDEX for the orchestrator */
    uint16_t param_count, reg_count, result;             /* result: type index */
    uint16_t *reg_types;                 /* parameters first */
    Insn *code; uint32_t code_count;
    ImageTry *tries; uint16_t try_count;
    ImageLine *lines; uint32_t line_count;
    uint16_t *counted_regs; uint16_t counted_count;      /* made on load: registers to release at return */
} ImageFunc;

typedef struct ImageEffect {
    uint8_t kind;                        /* EffectKind */
    uint16_t target;
    Str name;
    uint16_t *params; uint16_t param_count; uint16_t result;
} ImageEffect;

typedef struct ImageAgent { Str name, title; uint8_t location; Str location_env, location_text, credential; } ImageAgent;
enum { AGENT_LOCAL, AGENT_HTTP, AGENT_MCP, AGENT_ENGINE };             /* location: base URL from environment variable location_env, else location_text; ENGINE: a service of the engine, by that name */
enum { TOOL_READS = 1, TOOL_IDEMPOTENT = 2, TOOL_KEYED = 4, TOOL_IRREVERSIBLE = 8, TOOL_REMOTE = 16, TOOL_COMMAND = 32 /* of an aggregate: the trace shows the repository */ };
typedef struct ImageTool {
    Str name, doc; uint16_t agent, func /* NO_INDEX when remote */; uint16_t flags; uint16_t compensated_by;
    Str *scopes; uint16_t scope_count;
    Str method, path;                    /* via */
    ImageField *params; uint16_t param_count; uint16_t result; uint16_t key_param /* KEYED: which parameter, or NO_INDEX */;
    Str *param_patterns;                 /* regex source "flags/pattern" of `like`, or empty; NULL when none */
    uint64_t cost_tokens; int64_t cost_micro_usd;        /* what one call is declared to cost; the meter of a plan counts it */
} ImageTool;
enum { KEY_NONE, KEY_USER, KEY_TENANT, KEY_FUNC };
enum { DURABILITY_STRICT, DURABILITY_SESSION, DURABILITY_NONE };
typedef struct ImageFlow {
    Str name, doc; uint16_t func; ImageField *params; uint16_t param_count; uint16_t result;
    uint16_t init_func;                  /* fills in defaults: parameters with has_default are optional T? there, full record -> see docs/bytecode.md; NO_INDEX when none has a default */
    Str *scopes; uint16_t scope_count; uint8_t durability;
    uint8_t one_per; uint16_t one_per_func;              /* KEY_*; KEY_FUNC: function of the parameters -> string */
    uint8_t limit_per; uint16_t limit_func; uint32_t limit_count;
    uint32_t priority;                                   /* 0 … FLOW_PRIORITY_MAX; the higher is claimed first within a tenant */
    uint8_t rate_per; uint16_t rate_func; uint32_t rate_count; int64_t rate_unit_us;
    int64_t within_us;                   /* 0: none (also lowered as a scope; here for people) */
} ImageFlow;
typedef struct ImageEvent { Str name; uint16_t type; } ImageEvent;             /* also signals */
typedef struct ImageHandler { Str name; uint16_t event, agent, func, where_func /* record -> bool, or NO_INDEX */; bool starts_flow; } ImageHandler;
typedef struct ImageColumn { Str name; uint16_t type; uint8_t labels; bool has_default; uint16_t default_const; } ImageColumn;
typedef struct ImageIndex { bool unique; uint16_t columns[8]; uint16_t column_count; } ImageIndex;
enum { ERASE_NONE, ERASE_DELETE, ERASE_ANONYMIZE, ERASE_RETAIN };
/* visible by COLUMN to MEMBERS: who but the owner sees a row. The column is an enum of the members of VISIBILITY_WORDS; members is a shared table, one row a
   user (unique user_id). Writers: bit m for member m of the enum of role_column, which may change the rows of others that they see. */
#define VISIBILITY_WORDS { "PRIVATE", "FAMILY", "PUBLIC" }
enum { VISIBILITY_PRIVATE, VISIBILITY_FAMILY, VISIBILITY_PUBLIC, VISIBILITY_COUNT };
typedef struct ImageVisibility { bool declared; uint16_t column, members, user_column, role_column /* NO_INDEX: the owner alone writes */; uint64_t writers; } ImageVisibility;
/* The compiler's columns first, in declaration order; row type is a record of exactly them (version included as int when `versioned`). */
typedef struct ImageTable {
    Str name; uint16_t agent; bool shared, versioned, append_only; Str id_prefix; uint16_t id_column;   /* NO_INDEX when it has no `id` */
    ImageColumn *columns; uint16_t column_count; uint16_t row_type;
    ImageIndex *indexes; uint16_t index_count;
    bool cached;                         /* writes make cached reads of it old */
    ImageVisibility visibility;
    uint8_t erase; uint16_t *erase_columns; uint16_t erase_column_count; int64_t retain_us; Str retain_reason, export_name;
} ImageTable;
/* machine: legal transitions of an enum type; bit t of targets[f] */
typedef struct ImageMachine { uint16_t type; uint64_t *targets; uint64_t finals; } ImageMachine;
/* session (keyed by a session id) or context (by the run's correlation id); lives ttl_us from its last write. writers: of a context, agent index of each field,
   NO_INDEX: the flows. type: record; a context's fields are optional. */
enum { STATE_SESSION, STATE_CONTEXT };
typedef struct ImageState { Str name; uint8_t kind; int64_t ttl_us; uint16_t type; uint16_t *writers; uint16_t writer_count; } ImageState;
typedef struct ImageTest { Str title; uint16_t func; bool documented; } ImageTest;
typedef struct ImageFixture { Str name; uint16_t func; } ImageFixture;         /* function () of inserts: FUNC_FN kind TEST */
typedef struct ImageParticipant { Str part, title; } ImageParticipant;
typedef struct ImageResource { Str uri; uint16_t agent, func /* () -> result; NO_INDEX: the remote agent serves it */, result; } ImageResource;
/* Which request starts which flow. path: see route.h; its {parameters} are parameters of the flow, by name. scopes: all that a run of it asks for, those of
   the flow and of every tool it can reach, in ascending order; a ROUTE_PUBLIC one is open to who has no token. */
enum { ROUTE_PUBLIC = 1, ROUTE_STREAM = 2, ROUTE_CANCEL_ON_DISCONNECT = 4 };
typedef struct ImageRoute { Str method, path; uint16_t flow; uint8_t flags; Str *scopes; uint16_t scope_count; } ImageRoute;
/* A signed request of somebody else's; its body starts a run of `flow` (body: json) for the tenant found in it. A second one with the same key within
   dedupe_ttl_us starts none. Both functions take the body and give null where it says nothing. */
enum { VERIFY_STRIPE, VERIFY_STANDARD };
typedef struct ImageWebhook {
    Str name, method, path; uint16_t flow; uint8_t scheme; Str secret_env; int64_t tolerance_us, dedupe_ttl_us;
    uint16_t dedupe_func, tenant_func;   /* (json) -> string?, kind key; NO_INDEX: none */
} ImageWebhook;
typedef struct ImageScope { Str name, resource, action /* read, write, delete, admin */, description; } ImageScope;
typedef struct ImageRole { Str name; bool is_default; Str *scopes; uint16_t scope_count; } ImageRole;     /* what a login of that role gets; is_default: who is new */

#define PLAN_AMOUNT_MAX (UINT64_C(1) << 60)              /* of what a plan may use or a tool costs: sums of two fit a word */
enum { PLAN_FUEL_RESERVE = 5, PLAN_MEMORY_RESERVE = 8 }; /* the parts of a plan's bound that are kept for undoing what it did: a fifth, an eighth */
/* What the function of a plan may use up from CALL_PLAN to its end, the bodies of the tools it calls included; vm.h says how each is enforced. wall_us is for
   people and for the code's own deadline scope. */
typedef struct ImagePlan {
    uint16_t func;                       /* of kind FUNC_PLAN */
    uint64_t fuel, memory_bytes;
    uint32_t calls, calls_per_tool;
    int64_t wall_us;
    uint64_t tokens; int64_t micro_usd;
} ImagePlan;

#include "interpreter/bytecode/query.h"

typedef struct Image {
    Arena *arena;
    Sha256 hash;                         /* set by image_encode and image_decode */
    Str *files; uint16_t file_count;
    ImageType *types; uint16_t type_count;
    ImageConst *consts; uint16_t const_count;
    Str *regexes; uint16_t regex_count;                  /* "flags/pattern" */
    ImageFunc *funcs; uint16_t func_count;
    ImageEffect *effects; uint16_t effect_count;
    Query *queries; uint16_t query_count;
    ImageAgent *agents; uint16_t agent_count;
    ImageTool *tools; uint16_t tool_count;
    ImageFlow *flows; uint16_t flow_count;
    ImageEvent *events; uint16_t event_count;
    ImageEvent *signals; uint16_t signal_count;
    ImageHandler *handlers; uint16_t handler_count;
    ImageTable *tables; uint16_t table_count;
    ImageMachine *machines; uint16_t machine_count;
    ImageState *states; uint16_t state_count;
    ImageTest *tests; uint16_t test_count;
    ImageFixture *fixtures; uint16_t fixture_count;
    ImageParticipant *participants; uint16_t participant_count;
    ImageResource *resources; uint16_t resource_count;
    ImageRoute *routes; uint16_t route_count;
    ImageWebhook *webhooks; uint16_t webhook_count;
    ImageScope *scopes; uint16_t scope_count;
    ImageRole *roles; uint16_t role_count;
    ImagePlan *plans; uint16_t plan_count;
    struct Image *base;                  /* of an extension: what it begins with, retained; else NULL */
    struct ImageLive *live;              /* the machine's own: compiled regexes and constants; NULL until vm_prepare */
    void (*live_free)(struct ImageLive *live);           /* set together with `live`; image_free calls it with the last reference */
    uint32_t refs;
} Image;

Image *image_new(void);                  /* with the fixed types */
Image *image_retain(Image *image);
void image_free(Image *image);           /* drops one reference */
/* Builder helpers: append a zeroed row to a table of the image, return its index; NO_INDEX beyond IMAGE_INDEX_MAX. Usage: uint16_t i = IMAGE_ADD(image, func); image->funcs[i].… */
uint16_t image_grow(Image *image, void **rows, uint16_t *count, size_t row_size);
#define IMAGE_ADD(image, table) image_grow((image), (void **)&(image)->table##s, &(image)->table##_count, sizeof *(image)->table##s)
#define IMAGE_ADD_QUERY(image)  image_grow((image), (void **)&(image)->queries, &(image)->query_count, sizeof(Query))
#define IMAGE_ADD_REGEX(image)  image_grow((image), (void **)&(image)->regexes, &(image)->regex_count, sizeof(Str))

static inline bool kind_is_intlike(TypeKind k) { return k == KIND_BOOL || k == KIND_INT || k == KIND_DATE || k == KIND_TIMESTAMP || k == KIND_DURATION || k == KIND_ENUM || k == KIND_GROUP; }
static inline bool kind_is_counted(TypeKind k) { return !kind_is_intlike(k) && k != KIND_FLOAT && k != KIND_VOID; }
void image_type_print(const Image *image, uint16_t type, Buf *out);            /* "list<Flight>" */

void image_encode(Image *image, Buf *out);                                     /* canonical; sets image->hash */
Err  image_decode(Str bytes, Image **out, Error *error);                       /* bounded; also verifies: what it returns can be run */
Err  image_verify(Image *image, Error *error);                                 /* one pass per function; the first violation with its place; fills what is made on load */
void image_disasm(const Image *image, Buf *out);
const ImageLine *image_line(const ImageFunc *func, uint32_t pc);               /* NULL when none */
int  image_find_flow(const Image *image, Str name);                            /* -1 when absent */

/* Extensions. Rows may be appended to files, types, consts, regexes, funcs, effects and, one at most, plans; every other table is the base's. The rows of the base
   keep their indexes and are shared, not copied, so base and extension are never changed afterwards. The base must have its hash (encoded or decoded) and be
   verified; it may be an extension itself. The canonical bytes hold what was appended and the base's hash; their SHA-256 is the extension's identity. */
enum { EXTENSION_SIZE_MAX = 4 << 20, EXTENSION_DEPTH_MAX = 64 /* extensions above one another */ };
Image *image_extend(Image *base);                                              /* with a reference to base; NULL beyond EXTENSION_DEPTH_MAX */
void image_encode_extension(Image *image, Buf *out);                           /* canonical; sets image->hash */
Err  image_decode_extension(Image *base, Str bytes, Image **out, Error *error);        /* bounded; refuses the bytes of another base; also verifies */
/* One pass over the appended rows. Code of a plan is confined: it computes; calls tools of the base, each call right behind the METER that charges it; calls and
   spawns appended functions, none of them recursively; asks for REMOTE_CALL, APPROVE, NOW, RANDOM, SLEEP_UNTIL and notes. It goes back only by LOOP, over a METER or COMP_NEXT. */
Err  image_verify_extension(Image *image, Error *error);
uint32_t image_depth(const Image *image);                                      /* bases below it */
#endif

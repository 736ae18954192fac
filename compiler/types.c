/* types.c - one Type per basic tag and program; composites are cached on their element, so list<int> is one pointer. */
#include "compiler/types.h"

/* Its members have Symbols like those of any enum, but are found only where an error kind is expected. */
static void add_error_kind(Program *program, Type *kind, Str word)
{
    Symbol *member = ARENA_NEW(program->arena, Symbol);
    *member = (Symbol){ .kind = SYMBOL_MEMBER, .name = word, .type = kind, .owner = kind->decl, .ordinal = kind->member_count, .image_index = NO_INDEX };
    map_put(&kind->decl->members, word, member);
    kind->members[kind->member_count++] = word;
}

void types_init(Program *program)
{
    for (int tag = 0; tag < TYPE_VAR; tag++) {
        Type *type = type_new(program, (TypeTag)tag);
        program->basic[tag] = type;
    }
#define K(name) + 1
    enum { KINDS = 0 ERROR_KINDS(K) };
#undef K
    Type *kind = type_new(program, TYPE_ENUM);
    kind->name = STR("error_kind");
    kind->members = ARENA_ARRAY(program->arena, Str, KINDS);
    kind->decl = ARENA_NEW(program->arena, Symbol);
    *kind->decl = (Symbol){ .kind = SYMBOL_ENUM, .name = kind->name, .type = kind, .image_index = NO_INDEX };
#define K(word) add_error_kind(program, kind, STR(#word));
    ERROR_KINDS(K)
#undef K
    program->error_kind = kind;

    Type **basic = program->basic;
    Type *error = basic[TYPE_ERROR];
    Type *texts = type_list(program, basic[TYPE_STRING]);
    const TypeField fields[ERROR_FIELD_COUNT] = {
        [ERROR_FIELD_KIND] = { .name = STR("kind"), .type = kind },
        [ERROR_FIELD_MESSAGE] = { .name = STR("message"), .type = basic[TYPE_STRING] },
        [ERROR_FIELD_STATUS] = { .name = STR("status"), .type = basic[TYPE_INT] },
        [ERROR_FIELD_CODE] = { .name = STR("code"), .type = basic[TYPE_STRING] },
        [ERROR_FIELD_RETRY_AFTER] = { .name = STR("retry_after"), .type = type_optional(program, basic[TYPE_DURATION]) },
        [ERROR_FIELD_CAUSE] = { .name = STR("cause"), .type = type_optional(program, error) },
        [ERROR_FIELD_UNDONE] = { .name = STR("undone"), .type = texts },
        [ERROR_FIELD_NOT_UNDONE] = { .name = STR("not_undone"), .type = texts },
        [ERROR_FIELD_AT] = { .name = STR("at"), .type = basic[TYPE_STRING] },
    };
    error->fields = ARENA_ARRAY(program->arena, TypeField, ERROR_FIELD_COUNT);
    memcpy(error->fields, fields, sizeof fields);
    error->field_count = ERROR_FIELD_COUNT;
}

Type *type_new(Program *program, TypeTag tag)
{
    Type *type = ARENA_NEW(program->arena, Type);
    type->tag = tag;
    type->image_index = NO_INDEX;
    return type;
}

static void caches_note(TypeCaches *caches, Type **slot)
{
    if (caches->count == caches->cap) {
        caches->cap = caches->cap ? caches->cap * 2 : 64;
        caches->slots = mem_realloc(caches->slots, caches->cap * sizeof *caches->slots);
    }
    caches->slots[caches->count++] = slot;
}

void type_caches_forget(TypeCaches *caches)
{
    while (caches->count)
        *caches->slots[--caches->count] = NULL;
}

static Type *composite(Program *program, TypeTag tag, Type *element, Type **cache)
{
    if (*cache)
        return *cache;
    Type *type = type_new(program, tag);
    type->element = element;
    type->depth = (uint8_t)(element->depth < 255 ? element->depth + 1 : 255);
    if (program->caches)
        caches_note(program->caches, cache);
    return *cache = type;
}

Type *type_optional(Program *program, Type *element)
{
    if (element->tag == TYPE_OPT || element->tag == TYPE_POISON || element->tag == TYPE_JSON || element->tag == TYPE_NULL)
        return element;
    return composite(program, TYPE_OPT, element, &element->optional);
}

Type *type_list(Program *program, Type *element)
{
    return composite(program, TYPE_LIST, element, &element->list);
}

Type *type_map(Program *program, Type *element)
{
    return composite(program, TYPE_MAP, element, &element->map);
}

Type *type_id(Program *program, Symbol *table)
{
    Type *type = type_new(program, TYPE_ID);
    type->decl = table;
    return type;
}

Type *type_record(Program *program, Str name, TypeField *fields, uint32_t count)
{
    Type *type = type_new(program, TYPE_RECORD);
    type->name = name;
    type->fields = fields;
    type->field_count = count;
    type_measure(type);
    return type;
}

void type_measure(Type *record)
{
    unsigned depth = 0;
    for (uint32_t i = 0; i < record->field_count; i++)
        if (record->fields[i].type->depth > depth)
            depth = record->fields[i].type->depth;
    record->depth = (uint8_t)(depth < 255 ? depth + 1 : 255);
}

Type *type_labeled(Program *program, Type *type, unsigned labels)
{
    if ((type->labels | labels) == type->labels || type->tag == TYPE_POISON)
        return type;
    Type *copy = ARENA_NEW(program->arena, Type);
    *copy = *type;
    copy->labels = (uint8_t)(type->labels | labels);
    copy->optional = copy->list = copy->map = NULL;
    return copy;
}

Type *type_element(Program *program, Type *type)
{
    return type_labeled(program, type->element, type->labels);
}

Type *type_strip(Type *type)
{
    return type->tag == TYPE_OPT ? type->element : type;
}

bool type_equal(const Type *a, const Type *b)
{
    if (a == b)
        return true;
    if (a->tag != b->tag)
        return false;
    switch (a->tag) {
    case TYPE_OPT: case TYPE_LIST: case TYPE_MAP:
        return type_equal(a->element, b->element);
    case TYPE_ENUM:
        return a->decl == b->decl;
    case TYPE_ID:
        return a->decl == b->decl;
    case TYPE_RECORD:
        if (a->fields == b->fields && a->field_count == b->field_count)
            return true;
        if (a->field_count != b->field_count)
            return false;
        for (uint32_t i = 0; i < a->field_count; i++)
            if (!str_eq(a->fields[i].name, b->fields[i].name) || !type_equal(a->fields[i].type, b->fields[i].type))
                return false;
        return true;
    default:
        return true;
    }
}

/* Equal at run time: an id is a string there. */
static bool same_value(const Type *a, const Type *b)
{
    if (a == b || a->tag == TYPE_POISON || b->tag == TYPE_POISON)
        return true;
    bool a_text = a->tag == TYPE_ID || a->tag == TYPE_STRING, b_text = b->tag == TYPE_ID || b->tag == TYPE_STRING;
    if (a_text && b_text)
        return a->tag != b->tag || a->decl == b->decl;
    if (a->tag != b->tag)
        return false;
    if (a->tag == TYPE_OPT || a->tag == TYPE_LIST || a->tag == TYPE_MAP)
        return same_value(a->element, b->element);
    if (a->tag != TYPE_RECORD || a->fields == b->fields)
        return type_equal(a, b);
    if (a->field_count != b->field_count)
        return false;
    for (uint32_t i = 0; i < a->field_count; i++)
        if (!str_eq(a->fields[i].name, b->fields[i].name) || !same_value(a->fields[i].type, b->fields[i].type))
            return false;
    return true;
}

static bool fits_json(const Type *type)
{
    switch (type->tag) {
    case TYPE_VOID: case TYPE_ERROR: case TYPE_VAR:
        return false;
    case TYPE_OPT: case TYPE_LIST: case TYPE_MAP:
        return fits_json(type->element);
    case TYPE_RECORD:
        for (uint32_t i = 0; i < type->field_count; i++)
            if (!fits_json(type->fields[i].type))
                return false;
        return true;
    default:
        return true;
    }
}

Assign type_assign(const Type *from, const Type *to)
{
    if (same_value(from, to))
        return ASSIGN_SAME;
    switch (to->tag) {
    case TYPE_OPT:
        if (from->tag == TYPE_NULL)
            return ASSIGN_CONVERT;
        return from->tag != TYPE_OPT && type_assign(from, to->element) != ASSIGN_NO ? ASSIGN_CONVERT : ASSIGN_NO;
    case TYPE_DECIMAL: case TYPE_FLOAT:
        return from->tag == TYPE_INT ? ASSIGN_CONVERT : ASSIGN_NO;
    case TYPE_JSON:
        return fits_json(from) ? ASSIGN_CONVERT : ASSIGN_NO;
    default:
        return ASSIGN_NO;
    }
}

Type *type_unify(Program *program, Type *a, Type *b)
{
    if (a->tag == TYPE_POISON || b->tag == TYPE_POISON)
        return program->basic[TYPE_POISON];
    unsigned labels = a->labels | b->labels;
    if (type_assign(b, a) != ASSIGN_NO)
        return type_labeled(program, a, labels);
    if (type_assign(a, b) != ASSIGN_NO)
        return type_labeled(program, b, labels);
    if (a->tag == TYPE_NULL && b->tag != TYPE_VOID)
        return type_optional(program, b);
    if (b->tag == TYPE_NULL && a->tag != TYPE_VOID)
        return type_optional(program, a);
    if (a->tag == TYPE_OPT && b->tag != TYPE_OPT && type_assign(a->element, b) != ASSIGN_NO)
        return NULL;                                        /* int? with decimal: converting inside an optional is written out */
    return NULL;
}

const TypeField *type_field(const Type *record, Str name, uint32_t *index)
{
    for (uint32_t i = 0; i < record->field_count; i++)
        if (str_eq(record->fields[i].name, name)) {
            if (index)
                *index = i;
            return &record->fields[i];
        }
    return NULL;
}

int type_member(const Type *enumeration, Str name)
{
    Symbol *member = map_find(&enumeration->decl->members, name);
    return member ? (int)member->ordinal : -1;
}

bool type_is_number(const Type *type)
{
    return type->tag == TYPE_INT || type->tag == TYPE_DECIMAL || type->tag == TYPE_FLOAT;
}

bool type_is_ordered(const Type *type)
{
    switch (type->tag) {
    case TYPE_INT: case TYPE_DECIMAL: case TYPE_FLOAT: case TYPE_STRING: case TYPE_ID: case TYPE_DATE: case TYPE_TIMESTAMP: case TYPE_DURATION:
    case TYPE_POISON:
        return true;
    default:
        return false;
    }
}

bool type_is_counted(const Type *type)
{
    switch (type->tag) {
    case TYPE_DECIMAL: case TYPE_STRING: case TYPE_ID: case TYPE_BYTES: case TYPE_JSON: case TYPE_ERROR: case TYPE_OPT: case TYPE_LIST: case TYPE_MAP:
    case TYPE_RECORD:
        return true;
    default:
        return false;
    }
}

/* ---- text ---------------------------------------------------------------------------------------- */

static const char *const tag_names[] = {
    [TYPE_POISON] = "unknown", [TYPE_VOID] = "nothing", [TYPE_NULL] = "null", [TYPE_BOOL] = "bool", [TYPE_INT] = "int", [TYPE_FLOAT] = "float",
    [TYPE_DECIMAL] = "decimal", [TYPE_STRING] = "string", [TYPE_DATE] = "date", [TYPE_TIMESTAMP] = "timestamp", [TYPE_DURATION] = "duration",
    [TYPE_BYTES] = "bytes", [TYPE_JSON] = "json", [TYPE_ERROR] = "error", [TYPE_VAR] = "x",
};

static void print_record(const Type *type, Buf *out)
{
    buf_put_text(out, "{ ");
    for (uint32_t i = 0; i < type->field_count; i++) {
        if (i)
            buf_put_text(out, ", ");
        buf_put_str(out, type->fields[i].name);
        buf_put_text(out, ": ");
        type_print(type->fields[i].type, out);
    }
    buf_put_text(out, " }");
}

void type_print(const Type *type, Buf *out)
{
    if (type->labels & LABEL_PII)
        buf_put_text(out, "pii ");
    if (type->labels & LABEL_SECRET)
        buf_put_text(out, "secret ");
    switch (type->tag) {
    case TYPE_OPT:
        type_print(type->element, out);
        buf_put_char(out, '?');
        break;
    case TYPE_LIST: case TYPE_MAP:
        buf_put_text(out, type->tag == TYPE_LIST ? "list<" : "map<");
        type_print(type->element, out);
        buf_put_char(out, '>');
        break;
    case TYPE_ID:
        buf_printf(out, "id<%.*s>", STR_ARG(type->decl->name));
        break;
    case TYPE_RECORD: case TYPE_ENUM:
        if (type->name.len)
            buf_put_str(out, type->name);
        else
            print_record(type, out);
        break;
    default:
        buf_put_text(out, tag_names[type->tag]);
    }
}

const char *type_text(Program *program, const Type *type)
{
    if (type->tag == TYPE_VOID)
        return "nothing";
    Buf text = { 0 };
    type_print(type, &text);
    const char *quoted = arena_printf(program->arena, "`%.*s`", STR_ARG(buf_str(&text)));
    buf_free(&text);
    return quoted;
}

const char *symbol_kind_text(SymbolKind kind)
{
    switch (kind) {
    case SYMBOL_LOCAL: return "a local name";
    case SYMBOL_PARAM: return "a parameter";
    case SYMBOL_FN: return "a function";
    case SYMBOL_FLOW: return "a flow";
    case SYMBOL_AGENT: return "an agent";
    case SYMBOL_TOOL: return "a tool";
    case SYMBOL_EVENT: return "an event";
    case SYMBOL_SIGNAL: return "a signal";
    case SYMBOL_RECORD: return "a type";
    case SYMBOL_ENUM: return "an enum";
    case SYMBOL_MEMBER: return "a member of an enum";
    case SYMBOL_MACHINE: return "a machine";
    case SYMBOL_TABLE: return "a table";
    case SYMBOL_COLUMN: return "a column";
    case SYMBOL_POLICY: return "a policy";
    case SYMBOL_FIXTURE: return "a fixture";
    case SYMBOL_HANDLER: return "a handler";
    case SYMBOL_TEST: return "a test";
    case SYMBOL_SESSION: return "a session";
    case SYMBOL_CONTEXT: return "a context";
    case SYMBOL_NAMESPACE: return "a name of the language";
    }
    return "a name";
}

/* image.c - building an image, its fixed types, and the small questions everybody asks it.
 *
 * Tables grow in the image's arena by doubling; the room of a table follows from its count alone, so no capacity is kept:
 * a table of n rows has room for the next power of two, at least IMAGE_ROWS_MIN. The decoder makes its tables the same way.
 * A table of an extension is the base's own memory until its first row is appended; then it is copied.
 */
#include "interpreter/bytecode/image.h"
#include "interpreter/bytecode/image_internal.h"

static const TypeKind fixed_kinds[TYPE_INDEX_FIXED_COUNT] = {
    KIND_VOID, KIND_BOOL, KIND_INT, KIND_FLOAT, KIND_DECIMAL, KIND_STRING, KIND_DATE, KIND_TIMESTAMP, KIND_DURATION, KIND_BYTES, KIND_JSON,
    KIND_ERROR, KIND_GROUP, KIND_ENUM, KIND_OPT, KIND_OPT, KIND_LIST
};
static const uint16_t fixed_elements[TYPE_INDEX_FIXED_COUNT] = {
    [TYPE_INDEX_OPT_DURATION] = TYPE_INDEX_DURATION, [TYPE_INDEX_OPT_ERROR] = TYPE_INDEX_ERROR, [TYPE_INDEX_LIST_STRING] = TYPE_INDEX_STRING
};
static const struct { const char *name; uint16_t type; } error_fields[ERROR_FIELD_COUNT] = {
    [ERROR_FIELD_KIND] = { "kind", TYPE_INDEX_ERROR_KIND },
    [ERROR_FIELD_MESSAGE] = { "message", TYPE_INDEX_STRING },
    [ERROR_FIELD_STATUS] = { "status", TYPE_INDEX_INT },
    [ERROR_FIELD_CODE] = { "code", TYPE_INDEX_STRING },
    [ERROR_FIELD_RETRY_AFTER] = { "retry_after", TYPE_INDEX_OPT_DURATION },
    [ERROR_FIELD_CAUSE] = { "cause", TYPE_INDEX_OPT_ERROR },
    [ERROR_FIELD_UNDONE] = { "undone", TYPE_INDEX_LIST_STRING },
    [ERROR_FIELD_NOT_UNDONE] = { "not_undone", TYPE_INDEX_LIST_STRING },
    [ERROR_FIELD_AT] = { "at", TYPE_INDEX_STRING },
};

static void fixed_types_add(Image *image)
{
    for (int i = 0; i < TYPE_INDEX_FIXED_COUNT; i++) {
        uint16_t row = IMAGE_ADD(image, type);       /* first: it moves `types` */
        ImageType *type = &image->types[row];
        type->kind = fixed_kinds[i];
        type->element = fixed_elements[i];
    }
    ImageType *error = &image->types[TYPE_INDEX_ERROR];
    error->field_count = ERROR_FIELD_COUNT;
    error->fields = ARENA_ARRAY(image->arena, ImageField, ERROR_FIELD_COUNT);
    for (int i = 0; i < ERROR_FIELD_COUNT; i++)
        error->fields[i] = (ImageField){ .name = str_of(error_fields[i].name), .type = error_fields[i].type };
    ImageType *kind = &image->types[TYPE_INDEX_ERROR_KIND];
    kind->name = STR("error_kind");
    kind->member_count = ERROR_KIND_COUNT;
    kind->members = ARENA_ARRAY(image->arena, Str, ERROR_KIND_COUNT);
    for (int i = 0; i < ERROR_KIND_COUNT; i++) kind->members[i] = str_of(error_kind_name((ErrorKind)i));
    error->counted_mask = image_counted_mask(image, error);
}

uint64_t image_counted_mask(const Image *image, const ImageType *record)
{
    uint64_t mask = 0;
    for (int i = 0; i < record->field_count && i < RECORD_FIELDS_MAX; i++)
        if (kind_is_counted(image->types[record->fields[i].type].kind)) mask |= UINT64_C(1) << i;
    return mask;
}

bool image_type_is_fixed(const Image *image, uint16_t index)
{
    const ImageType *type = &image->types[index];
    if (type->kind != fixed_kinds[index] || type->element != fixed_elements[index]) return false;
    if (type->member_patterns || type->field_patterns) return false;
    uint16_t members = index == TYPE_INDEX_ERROR_KIND ? ERROR_KIND_COUNT : 0, fields = index == TYPE_INDEX_ERROR ? ERROR_FIELD_COUNT : 0;
    if (type->member_count != members || type->field_count != fields) return false;
    for (int i = 0; i < members; i++)
        if (!str_is(type->members[i], error_kind_name((ErrorKind)i))) return false;
    for (int i = 0; i < fields; i++)
        if (!str_is(type->fields[i].name, error_fields[i].name) || type->fields[i].type != error_fields[i].type) return false;
    return true;
}

Image *image_new(void)
{
    Arena *arena = arena_new();
    Image *image = ARENA_NEW(arena, Image);
    image->arena = arena;
    image->refs = 1;
    fixed_types_add(image);
    return image;
}

Image *image_retain(Image *image)
{
    image->refs++;
    return image;
}

void image_free(Image *image)
{
    while (image && !--image->refs) {                    /* an extension holds the last reference of its base, perhaps */
        Image *base = image->base;
        if (image->live && image->live_free) image->live_free(image->live);
        arena_free(image->arena);
        image = base;
    }
}

uint32_t image_depth(const Image *image)
{
    uint32_t depth = 0;
    for (; image->base; image = image->base) depth++;
    return depth;
}

Image *image_extend(Image *base)
{
    if (image_depth(base) >= EXTENSION_DEPTH_MAX) return NULL;
    Arena *arena = arena_new();
    Image *image = ARENA_NEW(arena, Image);
    *image = *base;
    image->arena = arena;
    image->base = image_retain(base);
    image->hash = (Sha256){ 0 };
    image->live = NULL;
    image->live_free = NULL;
    image->refs = 1;
    return image;
}

size_t image_rows_room(size_t count)
{
    size_t room = IMAGE_ROWS_MIN;
    while (room < count) room *= 2;
    return room;
}

/* `rows` is a member of the image, so the base has its own at the same place. */
static bool rows_shared(const Image *image, void *const *rows)
{
    if (!image->base || !*rows) return false;
    size_t offset = (size_t)((const char *)rows - (const char *)image);
    return *(void *const *)((const char *)image->base + offset) == *rows;
}

void image_rows_add(Image *image, void **rows, uint16_t *count, size_t more, size_t row_size)
{
    size_t needed = *count + more;
    if (more && (*count == 0 || needed > image_rows_room(*count) || rows_shared(image, rows))) {
        void *grown = arena_alloc_array(image->arena, image_rows_room(needed), row_size);
        if (*count) memcpy(grown, *rows, *count * row_size);
        *rows = grown;
    }
    *count = (uint16_t)needed;
}

uint16_t image_grow(Image *image, void **rows, uint16_t *count, size_t row_size)
{
    if (*count >= IMAGE_INDEX_MAX) return NO_INDEX;
    image_rows_add(image, rows, count, 1, row_size);
    return (uint16_t)(*count - 1);
}

/* ---- names of types ---- */

static const char *const kind_words[] = {
    [KIND_VOID] = "void", [KIND_BOOL] = "bool", [KIND_INT] = "int", [KIND_FLOAT] = "float", [KIND_DECIMAL] = "decimal", [KIND_STRING] = "string",
    [KIND_DATE] = "date", [KIND_TIMESTAMP] = "timestamp", [KIND_DURATION] = "duration", [KIND_BYTES] = "bytes", [KIND_JSON] = "json",
    [KIND_ERROR] = "error", [KIND_GROUP] = "group", [KIND_OPT] = "?", [KIND_LIST] = "list", [KIND_MAP] = "map", [KIND_RECORD] = "record", [KIND_ENUM] = "enum"
};

const char *image_kind_word(TypeKind kind)
{
    return (unsigned)kind < sizeof kind_words / sizeof *kind_words ? kind_words[kind] : "?";
}

/* Records without a name are written out. Types share parts, so the text of a type can be exponentially longer than its rows: it is cut. */
typedef struct TypePrinter { const Image *image; Buf *out; size_t len_max; int depth; } TypePrinter;

static void type_print(TypePrinter *p, uint16_t index);

static void fields_print(TypePrinter *p, const ImageType *type)
{
    buf_put_text(p->out, "{");
    for (int i = 0; i < type->field_count; i++) {
        buf_printf(p->out, "%s %.*s: ", i ? "," : "", STR_ARG(type->fields[i].name));
        type_print(p, type->fields[i].type);
        if (p->out->len > p->len_max) break;
    }
    buf_put_text(p->out, " }");
}

static void members_print(TypePrinter *p, const ImageType *type)
{
    buf_put_text(p->out, "enum {");
    for (int i = 0; i < type->member_count && p->out->len <= p->len_max; i++)
        buf_printf(p->out, "%s %.*s", i ? "," : "", STR_ARG(type->members[i]));
    buf_put_text(p->out, " }");
}

static void type_print(TypePrinter *p, uint16_t index)
{
    if (index >= p->image->type_count || p->depth > TYPE_DEPTH_MAX || p->out->len > p->len_max) {
        buf_put_text(p->out, index >= p->image->type_count ? "?" : "...");
        return;
    }
    const ImageType *type = &p->image->types[index];
    p->depth++;
    if ((type->kind == KIND_RECORD || type->kind == KIND_ENUM) && type->name.len) buf_put_str(p->out, type->name);
    else if (type->kind == KIND_RECORD) fields_print(p, type);
    else if (type->kind == KIND_ENUM) members_print(p, type);
    else if (type->kind == KIND_OPT) {
        type_print(p, type->element);
        buf_put_char(p->out, '?');
    } else if (type->kind == KIND_LIST || type->kind == KIND_MAP) {
        buf_printf(p->out, "%s<", image_kind_word(type->kind));
        type_print(p, type->element);
        buf_put_char(p->out, '>');
    } else buf_put_text(p->out, image_kind_word(type->kind));
    p->depth--;
}

void image_type_print(const Image *image, uint16_t type, Buf *out)
{
    TypePrinter printer = { image, out, out->len + TYPE_TEXT_MAX, 0 };
    type_print(&printer, type);
}

/* ---- questions ---- */

const ImageLine *image_line(const ImageFunc *func, uint32_t pc)
{
    uint32_t low = 0, high = func->line_count;           /* the last line at or before pc */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (func->lines[middle].pc <= pc) low = middle + 1;
        else high = middle;
    }
    return low ? &func->lines[low - 1] : NULL;
}

int image_find_flow(const Image *image, Str name)
{
    for (int i = 0; i < image->flow_count; i++)
        if (str_eq(image->flows[i].name, name)) return i;
    return -1;
}

/* fuzz_json_input.c - JSON from anybody becomes a value of a type or is refused with a place; a value reads back from its own JSON and bytes.
 *
 * The first byte chooses the type. With libFuzzer: clang -fsanitize=fuzzer,address,undefined.
 */
#include "interpreter/vm/value_internal.h"
#include "tests/unit/vm_asm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static Image *types_make(void)
{
    Asm *m = asm_new();
    uint16_t color = asm_enum(m, "Color", 2, (const char *[]){ "RED", "GREEN" }), opt = asm_type(m, KIND_OPT, TYPE_INDEX_INT), opt_color = asm_type(m, KIND_OPT, color);
    uint16_t map = asm_type(m, KIND_MAP, opt), decimals = asm_type(m, KIND_LIST, TYPE_INDEX_DECIMAL);
    uint16_t row = asm_record(m, "Row", 6, (const char *[]){ "a", "b", "c", "d", "e", "f" }, (uint16_t[]){ TYPE_INDEX_STRING, opt, map, decimals, TYPE_INDEX_JSON, opt_color });
    uint16_t rows = asm_type(m, KIND_LIST, row);
    asm_type(m, KIND_OPT, rows);
    asm_func(m, "main", FUNC_FN, TYPE_INDEX_VOID, 0, NULL);
    EMIT(m, RETURN_VOID, 0, 0, 0);
    return asm_done(m);
}

/* JSON that was read is read again from what is written of it; times from bytes may lie where no text of them is. */
static void check_round(const Image *image, uint16_t type, Value v, Arena *arena, bool from_json)
{
    Buf text = { 0 }, bytes = { 0 };
    Json *json;
    Value again;
    value_to_json(image, type, v, &text);
    if (from_json && image->types[type].kind != KIND_FLOAT && !json_parse(arena, buf_str(&text), 64 << 20, &json, NULL)) {
        if (value_from_json(image, type, json, &again, NULL) || !value_equal(image, type, v, again)) abort();
        if (type_counted(image, type)) value_release(again);
    }
    value_encode(image, type, v, &bytes);
    Reader in = reader_of(buf_str(&bytes));
    if (value_decode(image, type, &in, &again, NULL) || reader_left(&in)) abort();
    if (type_counted(image, type)) value_release(again);
    buf_free(&text);
    buf_free(&bytes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static Image *image;
    if (!image) image = types_make();
    if (!size) return 0;
    uint16_t type = data[0] % image->type_count;
    Str rest = { (const char *)data + 1, size - 1 };
    Arena *arena = arena_new();
    Json *json = NULL;
    Value v = { 0 };
    Error error = { 0 };
    if (!json_parse(arena, rest, 1 << 20, &json, NULL)) {
        if (value_from_json(image, type, json, &v, &error)) {
            if (!error.text[0]) abort();
        } else {
            check_round(image, type, v, arena, true);
            if (type_counted(image, type)) value_release(v);
        }
    }
    Reader in = reader_of(rest);                         /* the same bytes as a binary value */
    if (!value_decode(image, type, &in, &v, NULL)) {
        check_round(image, type, v, arena, false);
        if (type_counted(image, type)) value_release(v);
    }
    arena_free(arena);
    return 0;
}

#ifdef FUZZ_MAIN
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        Buf file = { 0 };
        if (!file_read(argv[i], 1 << 20, &file, NULL)) LLVMFuzzerTestOneInput((const uint8_t *)file.ptr, file.len);
        buf_free(&file);
    }
    return 0;
}
#endif

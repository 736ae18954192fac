/* disasm.c - an image as stable, readable text: tables first, then the functions, one line per instruction.
 *
 *     func 3 flow book_trip(r0: string, r1: date) -> TripSummary
 *       r2: list<Flight>
 *       try 2..9 catch -> 14 r5
 *         0  LOADI         r2, 5
 *         1  CALL          r4, f7, r2          ; travel.search_flights              trip.flow:12:7
 *
 * What stands after `;` is resolved from the tables, so a reader needs no index.
 */
#include "interpreter/bytecode/image.h"
#include "interpreter/bytecode/disasm_internal.h"
#include "base/json.h"
#include "base/time.h"

enum { TEXT_SHOWN = 60, NOTE_COLUMN = 44, QUERY_SHOWN_MAX = 12 };

static const char *const func_words[] = { "fn", "tool", "flow", "branch", "compensation", "handler", "test", "key", "init", "plan" };
static const char *const try_words[] = { "catch", "finally", "scope" };
static const char *word_of(const char *const *words, size_t count, unsigned index) { return index < count ? words[index] : "?"; }
#define WORD(words, index) word_of((words), sizeof(words) / sizeof *(words), (index))

/* ---- shared ---- */

void disasm_quoted(Str text, size_t shown_max, Buf *out)
{
    size_t len = text.len;
    if (len > shown_max)
        for (len = shown_max; len && ((unsigned char)text.ptr[len] & 0xC0) == 0x80;) len--;      /* cut between code points */
    if (utf8_valid((Str){ text.ptr, len })) json_put_string(out, (Str){ text.ptr, len });
    else buf_put_text(out, "\"\"");
    if (len < text.len) buf_printf(out, "...(%zu bytes)", text.len);
}

void disasm_name(Str (*name_of)(const Image *, uint32_t), const Image *image, uint32_t index, uint32_t count, Buf *out)
{
    if (index >= count) buf_printf(out, "?%u", index);
    else buf_put_str(out, name_of(image, index));
}

static void word_print(const Image *image, uint16_t type_index, uint64_t word, Buf *out)
{
    const ImageType *type = &image->types[type_index];
    double number;
    switch (type->kind) {
    case KIND_BOOL: buf_put_text(out, word ? "true" : "false"); break;
    case KIND_FLOAT:
        memcpy(&number, &word, sizeof number);
        json_put_double(out, number);
        break;
    case KIND_DATE: date_print((int64_t)word, out); break;
    case KIND_TIMESTAMP: timestamp_print((int64_t)word, out); break;
    case KIND_DURATION: duration_print((int64_t)word, out); break;
    case KIND_ENUM:
        if (word < type->member_count) buf_put_str(out, type->members[word]);
        else buf_printf(out, "?%llu", (unsigned long long)word);
        break;
    default: buf_printf(out, "%lld", (long long)word);
    }
}

void disasm_const(const Image *image, uint16_t index, Buf *out)
{
    const ImageConst *constant = index < image->const_count ? &image->consts[index] : NULL;
    if (!constant || constant->type >= image->type_count) {
        buf_printf(out, "?%u", index);
        return;
    }
    TypeKind kind = image->types[constant->type].kind;
    if (kind == KIND_STRING) disasm_quoted(constant->bytes, TEXT_SHOWN, out);
    else if (kind == KIND_BYTES) buf_printf(out, "%zu bytes", constant->bytes.len);
    else if (kind == KIND_DECIMAL || kind == KIND_JSON)
        buf_printf(out, "%.*s%s", constant->bytes.len > TEXT_SHOWN ? TEXT_SHOWN : (int)constant->bytes.len, constant->bytes.ptr, constant->bytes.len > TEXT_SHOWN ? "..." : "");
    else word_print(image, constant->type, constant->word, out);
}

/* ---- operands ---- */

static void operand_print(const OpInfo *info, Insn insn, uint32_t pc, int i, Buf *out)
{
    uint16_t value = (uint16_t)(insn >> (16 * (i + 1)));
    switch ((OpSort)info->sort[i]) {
    case SORT_NONE: return;
    case SORT_IMM: buf_printf(out, "%u", value); break;
    case SORT_IMMS: buf_printf(out, "%d", (int16_t)value); break;
    case SORT_IMM32: buf_printf(out, "%d", (int32_t)INSN_BC(insn)); break;
    case SORT_TARGET: buf_printf(out, "-> %u", INSN_BC(insn)); break;
    case SORT_REL: buf_printf(out, "-> %lld", (long long)pc + 1 + (int16_t)value); break;
    case SORT_CONST: case SORT_REFC: buf_printf(out, "k%u", value); break;
    case SORT_TYPE: buf_printf(out, "t%u", value); break;
    case SORT_FUNC: buf_printf(out, "f%u", value); break;
    case SORT_EFFECT: buf_printf(out, "e%u", value); break;
    case SORT_REGEX: buf_printf(out, "x%u", value); break;
    case SORT_BUILTIN: buf_printf(out, "b%u", value); break;
    default: buf_printf(out, "r%u", value);
    }
}

static bool operand_is_wide(OpSort sort) { return sort == SORT_IMM32 || sort == SORT_TARGET; }

static void operands_print(const OpInfo *info, Insn insn, uint32_t pc, Buf *out)
{
    const char *separator = "";
    for (int i = 0; i < 3; i++) {
        OpSort sort = (OpSort)info->sort[i];
        if (sort == SORT_NONE || (operand_is_wide(sort) && i == 2)) continue;
        buf_put_text(out, separator);
        operand_print(info, insn, pc, i, out);
        separator = ", ";
    }
}

/* ---- what operands mean ---- */

static Str func_name(const Image *m, uint32_t i) { return m->funcs[i].name; }

static void effect_note(const Image *image, uint16_t index, Buf *out)
{
    if (index >= image->effect_count) return;
    const ImageEffect *effect = &image->effects[index];
    const char *word = effect_name(effect->kind);
    buf_printf(out, "%s", word ? word : "?");
    if (effect->name.len) buf_printf(out, " %.*s", STR_ARG(effect->name));
    if ((effect->kind != EFFECT_QUERY_READ && effect->kind != EFFECT_QUERY_WRITE) || effect->target >= image->query_count) return;
    const Query *query = &image->queries[effect->target];
    bool is_short = query->where.count <= QUERY_SHOWN_MAX && query->set_count <= QUERY_SHOWN_MAX && query->output_count <= QUERY_SHOWN_MAX;
    buf_put_text(out, ": ");
    if (is_short) disasm_query(image, query, out);
    else buf_printf(out, "q%u", effect->target);             /* its text stands once, in the table of queries */
}

static void operand_note(const Image *image, const OpInfo *info, Insn insn, int i, Buf *out)
{
    uint16_t value = (uint16_t)(insn >> (16 * (i + 1)));
    const BuiltinInfo *builtin;
    switch ((OpSort)info->sort[i]) {
    case SORT_CONST: case SORT_REFC: disasm_const(image, value, out); break;
    case SORT_TYPE: image_type_print(image, value, out); break;
    case SORT_FUNC: disasm_name(func_name, image, value, image->func_count, out); break;
    case SORT_EFFECT: effect_note(image, value, out); break;
    case SORT_REGEX:
        if (value < image->regex_count) disasm_quoted(image->regexes[value], TEXT_SHOWN, out);
        break;
    case SORT_BUILTIN:
        builtin = builtininfo_find(value);
        if (builtin) buf_printf(out, "%s%s%s", builtin->receiver, builtin->receiver[0] ? "." : "", builtin->name);
        break;
    default: break;
    }
}

/* An immediate that is a member of an enum or a bool is shown as such. */
static void loadi_note(const Image *image, const ImageFunc *func, Insn insn, Buf *out)
{
    uint16_t a = INSN_A(insn);
    if (a >= func->reg_count || func->reg_types[a] >= image->type_count) return;
    TypeKind kind = image->types[func->reg_types[a]].kind;
    if (kind == KIND_BOOL || kind == KIND_ENUM || kind == KIND_DATE || kind == KIND_DURATION) word_print(image, func->reg_types[a], (uint64_t)(int64_t)(int32_t)INSN_BC(insn), out);
}

static void field_note(const Image *image, const ImageFunc *func, uint16_t record, uint16_t field, Buf *out)
{
    if (record >= func->reg_count || func->reg_types[record] >= image->type_count) return;
    const ImageType *type = &image->types[func->reg_types[record]];
    if (field < type->field_count) buf_printf(out, ".%.*s", STR_ARG(type->fields[field].name));
}

static void insn_note(const Image *image, const ImageFunc *func, Insn insn, const OpInfo *info, Buf *out)
{
    uint16_t op = INSN_OP(insn);
    if (op == OP_LOADI) loadi_note(image, func, insn, out);
    else if (op == OP_GET_FIELD) field_note(image, func, INSN_B(insn), INSN_C(insn), out);
    else if (op == OP_SET_FIELD) field_note(image, func, INSN_A(insn), INSN_B(insn), out);
    else for (int i = 0; i < 3; i++) operand_note(image, info, insn, i, out);
}

/* ---- functions ---- */

/* Spaces up to a column of the line that began at `start`, at least one. */
static void pad_to(Buf *out, size_t start, size_t column)
{
    do buf_put_char(out, ' ');
    while (out->len - start < column);
}

static void insn_print(const Image *image, const ImageFunc *func, uint32_t pc, const ImageLine *line, Buf *out)
{
    Insn insn = func->code[pc];
    const OpInfo *info = opinfo_find(INSN_OP(insn));
    size_t start = out->len;
    if (!info) {
        buf_printf(out, "  %5u  ?0x%02x         %u, %u, %u\n", pc, INSN_OP(insn), INSN_A(insn), INSN_B(insn), INSN_C(insn));
        return;
    }
    buf_printf(out, "  %5u  %-13s ", pc, info->name);
    operands_print(info, insn, pc, out);
    size_t bare = out->len;
    pad_to(out, start, NOTE_COLUMN);
    buf_put_text(out, "; ");
    size_t note = out->len;
    insn_note(image, func, insn, info, out);
    if (line && line->pc == pc) {
        bool known = line->file < image->file_count;
        Str file = known ? image->files[line->file] : STR("?");
        buf_printf(out, "%s%.*s:%u:%u", out->len > note ? "  @ " : "@ ", STR_ARG(file), line->line, line->column);
    }
    if (out->len == note) out->len = bare;
    while (out->len > start && out->ptr[out->len - 1] == ' ') out->len--;
    buf_put_char(out, '\n');
}

static void head_print(const Image *image, const ImageFunc *func, uint32_t index, Buf *out)
{
    buf_printf(out, "\nfunc %u %s %.*s(", index, WORD(func_words, func->kind), STR_ARG(func->name));
    for (int i = 0; i < func->param_count && i < func->reg_count; i++) {
        buf_printf(out, "%sr%d: ", i ? ", " : "", i);
        image_type_print(image, func->reg_types[i], out);
    }
    buf_put_char(out, ')');
    if (func->result != TYPE_INDEX_VOID) {
        buf_put_text(out, " -> ");
        image_type_print(image, func->result, out);
    }
    if (func->agent != NO_INDEX && func->agent < image->agent_count) buf_printf(out, " of %.*s", STR_ARG(image->agents[func->agent].name));
    if (func->flags & FUNC_FLAG_CRITICAL) buf_put_text(out, " critical");
    if (func->flags & FUNC_FLAG_SECRET_RESULT) buf_put_text(out, " secret");
    if (func->flags & FUNC_FLAG_PII_RESULT) buf_put_text(out, " pii");
    buf_put_char(out, '\n');
}

/* Neighbours of one type share a line. */
static void registers_print(const Image *image, const ImageFunc *func, Buf *out)
{
    for (int i = func->param_count; i < func->reg_count;) {
        int last = i;
        while (last + 1 < func->reg_count && func->reg_types[last + 1] == func->reg_types[i]) last++;
        if (last > i) buf_printf(out, "  r%d..r%d: ", i, last);
        else buf_printf(out, "  r%d: ", i);
        image_type_print(image, func->reg_types[i], out);
        buf_put_char(out, '\n');
        i = last + 1;
    }
}

static void func_print(const Image *image, const ImageFunc *func, uint32_t index, Buf *out)
{
    head_print(image, func, index, out);
    registers_print(image, func, out);
    for (int i = 0; i < func->try_count; i++) {
        const ImageTry *t = &func->tries[i];
        buf_printf(out, "  try %u..%u %s -> %u r%u\n", t->from, t->to, WORD(try_words, t->kind), t->handler, t->error_reg);
    }
    uint32_t line = 0;
    for (uint32_t pc = 0; pc < func->code_count; pc++) {
        while (line < func->line_count && func->lines[line].pc < pc) line++;
        insn_print(image, func, pc, line < func->line_count ? &func->lines[line] : NULL, out);
    }
}

void image_disasm(const Image *image, Buf *out)
{
    disasm_tables(image, out);
    for (uint32_t i = 0; i < image->func_count; i++) func_print(image, &image->funcs[i], i, out);
}

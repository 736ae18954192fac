/* start.c - how runs come to be: modules stored, inputs checked, keys computed.
 *
 * A run is acknowledged when its row is durable, with its input as canonical bytes: nothing else of the caller is needed to finish it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include "interpreter/effect/ids.h"
#include "interpreter/effect/rows.h"
#include "interpreter/sched/engine_internal.h"

static bool counted(const Image *image, uint16_t type) { return kind_is_counted(image->types[type].kind); }

/* ---- inputs as bytes ------------------------------------------------------------------------------------- */

Err start_encode_input(const Image *image, uint16_t func, const Value *args, Buf *out) {
    for (uint16_t i = 0; i < image->funcs[func].param_count; i++) value_encode(image, image->funcs[func].reg_types[i], args[i], out);
    return ERR_OK;
}

void start_release_args(const Image *image, uint16_t func, Value *args, uint16_t count) {
    for (uint16_t i = 0; i < count; i++)
        if (counted(image, image->funcs[func].reg_types[i])) value_release(args[i]);
}

Err start_decode_input(const Image *image, uint16_t func, Str input, Value *args, uint16_t *count, Error *error) {
    const ImageFunc *row = &image->funcs[func];
    Reader in = reader_of(input);
    Err err = ERR_OK;
    *count = 0;
    for (uint16_t i = 0; i < row->param_count && !err; i++) {
        err = value_decode(image, row->reg_types[i], &in, &args[i], error);
        if (!err) (*count)++;
    }
    if (!err && reader_left(&in)) err = err_set(error, ERR_CORRUPT, "the input of `%.*s` has bytes behind its end", STR_ARG(row->name));
    if (err) start_release_args(image, func, args, *count), *count = 0;
    return err;
}

/* ---- small calls ------------------------------------------------------------------------------------------- */

Err start_call(Engine *engine, Image *image, uint16_t func, const Value *args, const RunRow *who, Value *out, Error *error) {
    VmInfo info = { who->run_id, who->tenant, who->user, who->func_name, who->correlation, who->user_name, who->causation.len ? who->causation : who->run_id };
    VmRun *run = vm_new(image, func, args, &info, &engine->options.limits);
    Err err = ERR_OK;
    for (;;) {
        VmStatus status = vm_run(run);
        VmRequest request;
        Value value;
        uint64_t id = 0;
        if (status == VM_DONE) break;
        if (status == VM_FAILED) {
            const Record *failure = (const Record *)vm_error(run).o;
            Str message = failure ? value_str(failure->fields[ERROR_FIELD_MESSAGE]) : (Str){ 0 };
            err = err_set(error, ERR_INVALID, "%.*s", STR_ARG(message));
            break;
        }
        while (vm_next_request(run, &request))
            if (!request.is_note && !id && perform_own(engine, image, &request, who->run_id, &value)) id = request.id;
        if (id) vm_resume(run, id, value);
        else if (status == VM_BLOCKED) { err = err_set(error, ERR_UNSUPPORTED, "`%.*s` asks for more than its own values", STR_ARG(image->funcs[func].name)); break; }
    }
    if (!err) {
        *out = vm_result(run);
        if (counted(image, image->funcs[func].result)) value_retain(*out);
    }
    vm_free(run);
    return err;
}

/* ---- inputs from JSON ---------------------------------------------------------------------------------------- */

static const Json *input_field(const Json *input, Str name) {
    for (size_t i = 0; input->kind == JSON_OBJECT && i < input->count; i++)
        if (str_eq(input->keys[i], name)) return input->items[i];
    return NULL;
}

static Err refuse_unknown(const ImageFlow *flow, const Json *input, Error *error) {
    for (size_t k = 0; k < input->count; k++) {
        bool known = false;
        Str names[FUNC_PARAMS_MAX];
        for (uint16_t i = 0; i < flow->param_count; i++) known |= str_eq(flow->params[i].name, input->keys[k]), names[i] = flow->params[i].name;
        if (known) continue;
        Str near = str_nearest(input->keys[k], names, flow->param_count);
        return near.len ? err_set(error, ERR_INVALID, "/%.*s: `%.*s` has no such parameter; did you mean `%.*s`?", STR_ARG(input->keys[k]), STR_ARG(flow->name), STR_ARG(near))
                        : err_set(error, ERR_INVALID, "/%.*s: `%.*s` has no such parameter", STR_ARG(input->keys[k]), STR_ARG(flow->name));
    }
    return ERR_OK;
}

static Err field_value(const Image *image, const ImageField *param, uint16_t type, const Json *json, Value *out, Error *error) {
    TypeKind kind = image->types[type].kind;
    out->w = 0;
    if (!json) {
        if (kind == KIND_OPT || kind == KIND_JSON) return ERR_OK;
        return err_set(error, ERR_INVALID, "/%.*s: missing", STR_ARG(param->name));
    }
    Error inner;
    Err err = value_from_json(image, type, json, out, &inner);
    return err ? err_set(error, err, "/%.*s%s%.400s", STR_ARG(param->name), inner.text[0] == '/' ? "" : ": ", inner.text) : ERR_OK;
}

/* Values of all parameters, defaults filled in by the init function. */
static Err input_values(Engine *engine, Image *image, const ImageFlow *flow, const Json *input, const RunRow *who, Value *args, uint16_t *count, Error *error) {
    uint16_t func = flow->init_func == NO_INDEX ? flow->func : flow->init_func;
    const uint16_t *types = image->funcs[func].reg_types;
    Value given[FUNC_PARAMS_MAX], record;
    uint16_t n = 0;
    Err err = refuse_unknown(flow, input, error);
    *count = 0;
    for (; n < flow->param_count && !err; n++)
        if ((err = field_value(image, &flow->params[n], types[n], input_field(input, flow->params[n].name), &given[n], error))) break;
    if (!err && flow->init_func != NO_INDEX) {
        err = start_call(engine, image, flow->init_func, given, who, &record, error);
        start_release_args(image, func, given, n);
        n = 0;
        if (err) return err;
        const Record *fields = (const Record *)record.o;
        for (uint16_t i = 0; i < flow->param_count; i++) {
            args[i] = fields->fields[i];
            if (counted(image, flow->params[i].type)) value_retain(args[i]);
        }
        value_release(record);
    } else if (!err) memcpy(args, given, n * sizeof *args);
    else start_release_args(image, func, given, n);
    if (!err) *count = flow->param_count;
    return err;
}

/* ---- keys ------------------------------------------------------------------------------------------------------- */

static Err flow_key(Engine *engine, Image *image, const ImageFlow *flow, uint8_t per, uint16_t func, const Value *args, const RunRow *row, Arena *arena, Str *out, Error *error) {
    Value key;
    *out = (Str){ "", 0 };
    switch (per) {
    case KEY_USER:   *out = str_of(arena_printf(arena, "%.*s:user:%.*s", STR_ARG(flow->name), STR_ARG(row->user))); return ERR_OK;
    case KEY_TENANT: *out = str_of(arena_printf(arena, "%.*s:tenant", STR_ARG(flow->name))); return ERR_OK;
    case KEY_FUNC: {
        Err err = start_call(engine, image, func, args, row, &key, error);
        if (err) return err;
        *out = str_of(arena_printf(arena, "%.*s:key:%.*s", STR_ARG(flow->name), STR_ARG(value_str(key))));
        value_release(key);
        return ERR_OK;
    }
    default: return ERR_OK;
    }
}

static Str input_json(const Image *image, const ImageFlow *flow, const Value *args, Arena *arena) {
    Buf text = { 0 };
    buf_put_char(&text, '{');
    for (uint16_t i = 0; i < flow->param_count; i++) {
        if (i) buf_put_char(&text, ',');
        json_put_string(&text, flow->params[i].name);
        buf_put_char(&text, ':');
        if (flow->params[i].labels & (LABEL_PII | LABEL_SECRET)) buf_put_text(&text, "\"***\"");
        else value_to_json_redacted(image, flow->params[i].type, args[i], &text);
    }
    buf_put_char(&text, '}');
    Str out = record_bounded(arena, &text);
    buf_free(&text);
    return out;
}

Err start_fill_row(Engine *engine, Image *image, uint16_t flow_index, const Value *args, Arena *arena, RunRow *row, Error *error) {
    const ImageFlow *flow = &image->flows[flow_index];
    Buf input = { 0 };
    row->func_name = flow->name;
    row->func = flow->func;
    row->status = RUN_READY;
    row->priority = (int)flow->priority;
    if (!scopes_wanted(engine, image, flow->func)) row->scopes = (Str){ "", 0 };
    row->durability = flow->durability == DURABILITY_SESSION && !engine->sessions ? RUN_SESSION_IN_ROWS : flow->durability;
    Err err = row->durability == DURABILITY_NONE ? session_memory(engine, error) : ERR_OK;
    if (err) return err;
    start_encode_input(image, flow->func, args, &input);
    row->input = arena_str(arena, buf_str(&input));
    buf_free(&input);
    row->input_json = input_json(image, flow, args, arena);
    err = flow_key(engine, image, flow, flow->one_per, flow->one_per_func, args, row, arena, &row->concurrency_key, error);
    if (!err) err = flow_key(engine, image, flow, flow->limit_per, flow->limit_func, args, row, arena, &row->limit_key, error);
    if (row->limit_key.len) row->limit_count = flow->limit_count;
    return err;
}

/* ---- rates -------------------------------------------------------------------------------------------------------- */

/* A started run as its row will stand: input checked, keys computed. Texts of the row live in the arena and in who. */
typedef struct Start { Image *image; char hash[SHA256_HEX + 1]; RunRow row; Str rate_key; uint32_t rate_limit; int64_t rate_unit_us; } Start;

static Err fill_rate(Engine *engine, const ImageFlow *flow, const Value *args, Arena *arena, Start *start, Error *error) {
    if (!flow->rate_count) return ERR_OK;
    Str key;
    Err err = flow_key(engine, start->image, flow, flow->rate_per, flow->rate_func, args, &start->row, arena, &key, error);
    if (err) return err;
    start->rate_limit = flow->rate_count;
    start->rate_unit_us = flow->rate_unit_us;
    start->rate_key = str_of(arena_printf(arena, "%u/%" PRId64 ":%.*s", flow->rate_count, flow->rate_unit_us / 1000000, STR_ARG(key.len ? key : flow->name)));
    return ERR_OK;
}

/* Behind the row of the run: whoever asks again after a lost answer is told first that the run is there. */
static void take_rate(const Start *start, StoreBatch *batch) {
    if (start->rate_limit) store_take_rate(batch, start->rate_key, start->row.func_name, start->rate_limit, start->rate_unit_us, start->row.created_us);
}

/* A run that lives elsewhere has no commit in common with its count, so it is counted before: a crash between the two costs a place until its time is over. */
static Err count_elsewhere(Engine *engine, const Start *start, Error *error) {
    if (!start->rate_limit || engine_home(engine, &start->row) == engine->store) return ERR_OK;
    StoreBatch *batch = store_batch(engine->store, start->row.tenant, (Str){ "", 0 }, 0);
    take_rate(start, batch);
    Err err = engine_sync(engine, batch, error);
    store_batch_free(batch);
    return err;
}

static StoreBatch *start_batch(Engine *engine, const Start *start) {
    Store *home = engine_home(engine, &start->row);
    StoreBatch *batch = store_batch(home, start->row.tenant, start->row.run_id, 0);
    store_put_run(batch, &start->row);
    if (home == engine->store) take_rate(start, batch);
    return batch;
}

/* ---- the interface --------------------------------------------------------------------------------------------------- */

Err engine_deploy(Engine *engine, Image *image, Error *error) {
    Buf bytes = { 0 };
    char hash[SHA256_HEX + 1];
    image_encode(image, &bytes);
    hex_encode(image->hash.bytes, SHA256_BYTES, hash);
    StoreBatch *batch = store_batch(engine->store, (Str){ "", 0 }, (Str){ "", 0 }, 0);
    store_put_module(batch, str_of(hash), buf_str(&bytes));
    store_ensure_tables(batch, image);
    events_subscribe(batch, image);
    Err err = engine_sync(engine, batch, error);
    store_batch_free(batch);
    Image *kept;
    if (!err && !engine_image_cached(engine, str_of(hash))) err = engine_image_keep(engine, str_of(hash), buf_str(&bytes), &kept, error);
    buf_free(&bytes);
    return err;
}

static Err read_start(Engine *engine, const Image *image_given, Str flow_name, Str json_text, const EnginePrincipal *who, char run_id[64], Arena *arena, Start *out, Error *error) {
    hex_encode(image_given->hash.bytes, SHA256_BYTES, out->hash);
    Err err = engine_image(engine, str_of(out->hash), &out->image, error);
    if (err) return err;
    Image *image = out->image;
    int index = image_find_flow(image, flow_name);
    if (index < 0) return err_set(error, ERR_NOT_FOUND, "no flow `%.*s` in this module", STR_ARG(flow_name));
    const ImageFlow *flow = &image->flows[index];
    Json *input = NULL;
    Value args[FUNC_PARAMS_MAX];
    uint16_t count = 0;
    if (run_id[0] == '\0') ids_new(STR("R"), run_id);
    RunRow *row = &out->row;
    *row = (RunRow){ .tenant = who->tenant, .run_id = str_of(run_id), .module_hash = str_of(out->hash), .func_name = flow->name, .user = who->user, .user_name = who->user_name, .scopes = who->scopes, .correlation = str_of(run_id), .causation = who->cause,
                     .created_us = engine_now(engine), .updated_us = engine_now(engine) };
    err = json_parse(arena, json_text.len ? json_text : STR("{}"), INPUT_JSON_MAX, &input, error);
    if (!err && input->kind != JSON_OBJECT) err = err_set(error, ERR_INVALID, "the input is not a JSON object");
    if (!err) err = input_values(engine, image, flow, input, row, args, &count, error);
    if (!err) err = start_fill_row(engine, image, (uint16_t)index, args, arena, row, error);
    if (!err) err = fill_rate(engine, flow, args, arena, out, error);
    for (uint16_t i = 0; i < count; i++)
        if (counted(image, flow->params[i].type)) value_release(args[i]);
    return err;
}

static Err prepare(Engine *engine, const Image *image, Str flow, Str json_text, const EnginePrincipal *who, char run_id[64], Arena *arena, Start *out, Error *error) {
    Err err = read_start(engine, image, flow, json_text, who, run_id, arena, out, error);
    return err ? err : count_elsewhere(engine, out, error);
}

bool engine_same_input(Engine *engine, const Image *image, Str flow, Str input_json, const RunRow *run) {
    char run_id[64] = "compared";
    Arena *arena = arena_new();
    EnginePrincipal who = { .tenant = run->tenant, .user = run->user, .user_name = run->user_name };
    Start start = { 0 };
    Err err = read_start(engine, image, flow, input_json, &who, run_id, arena, &start, NULL);
    bool same = !err && (!str_eq(str_of(start.hash), run->module_hash) || (str_eq(start.row.func_name, run->func_name) && str_eq(start.row.input, run->input)));
    arena_free(arena);
    return same;
}

Err engine_evaluate(Engine *engine, Image *image, uint16_t func, const Value *args, const EnginePrincipal *who, Value *out, Error *error) {
    RunRow row = { .tenant = who->tenant, .user = who->user, .user_name = who->user_name };
    return start_call(engine, image, func, args, &row, out, error);
}

static Err put_started(Engine *engine, const Start *start, Error *error) {
    StoreBatch *batch = start_batch(engine, start);
    Err err = engine_sync(engine, batch, error);
    store_batch_free(batch);
    return err;
}

/* The server went while the row was under way: it may stand or not. The id and the moment are the caller's own, so a row that has both is ours. The second
   try waits for the server as long as the store waits. */
static Err put_again(Engine *engine, const Start *start, Error *error) {
    const RunRow *row = &start->row;
    Err err = put_started(engine, start, error);
    if (err != ERR_CONFLICT) return err;
    Arena *arena = arena_new();
    RunRow found;
    if (engine_find_run(engine, row->tenant, row->run_id, arena, &found, NULL) == ERR_OK && found.created_us == row->created_us && str_eq(found.input, row->input)) err = ERR_OK;
    arena_free(arena);
    return err;
}

Err engine_start(Engine *engine, const Image *image, Str flow, Str json_text, const EnginePrincipal *who, char out_run_id[64], Error *error) {
    Arena *arena = arena_new();
    Start start = { 0 };
    Err err = prepare(engine, image, flow, json_text, who, out_run_id, arena, &start, error);
    if (!err) {
        engine->claim_wanted = true;
        err = put_started(engine, &start, error);
        if (err == ERR_IO && engine_has_server(engine)) err = put_again(engine, &start, error);
    }
    arena_free(arena);
    return err;
}

typedef struct Launch { EngineStarted done; void *arg; char run_id[64]; } Launch;

static void on_launched(const StoreResult *result, void *arg) {
    Launch *launch = arg;
    launch->done(result->err, &result->error, str_of(launch->run_id), launch->arg);
    free(launch);
}

Err engine_launch(Engine *engine, const Image *image, Str flow, Str json_text, const EnginePrincipal *who, char out_run_id[64], EngineStarted done, void *arg, Error *error) {
    if (engine->broken) { if (error) *error = engine->broken_error; return engine->broken; }
    Arena *arena = arena_new();
    Start start = { 0 };
    Err err = prepare(engine, image, flow, json_text, who, out_run_id, arena, &start, error);
    if (!err) {
        RunRow *row = &start.row;
        bool ours = !row->concurrency_key.len && !row->limit_key.len && !engine_live_find(engine, row->tenant, row->run_id) && engine->live.count < engine_live_max(engine);
        if (ours) {                                      /* its first commit is its claim too */
            row->status = RUN_RUNNING;
            row->epoch = 1;
            row->worker = str_of(engine->worker);
            row->started_us = row->created_us;
            row->lease_until_us = row->durability == DURABILITY_NONE ? TIME_NEVER : engine_lease_until(engine);
            live_begin(engine, row, start.image, &(Birth){ done, arg, start.rate_key, start.rate_limit, start.rate_unit_us });
        } else {
            Launch *launch = mem_alloc(sizeof *launch);
            *launch = (Launch){ .done = done, .arg = arg };
            snprintf(launch->run_id, sizeof launch->run_id, "%s", out_run_id);
            engine->claim_wanted = true;
            store_submit(start_batch(engine, &start), on_launched, launch);
        }
    }
    arena_free(arena);
    return err;
}

/* ---- fixtures: rows that exist before a run, by a function of inserts ---------------------------------------------- */

/* The row as it was meant, when it is there already: given columns, constants by default, else null or zero. */
static Err meant_row(const Image *image, const Query *query, const VmRequest *request, Value *out, Error *error) {
    const ImageTable *table = &image->tables[query->table];
    RowSet rows = { .rows = 1, .columns = table->column_count };
    Arena *arena = arena_new();
    Err err = ERR_OK;
    rows.cells = ARENA_ARRAY(arena, Cell, rows.columns + 1u);
    for (uint16_t c = 0; c < table->column_count && !err; c++) {
        const ImageColumn *column = &table->columns[c];
        TypeKind kind = image->types[column->type].kind;
        Cell *cell = &rows.cells[c];
        if (column->has_default && column->default_const < image->const_count) {
            const ImageConst *k = &image->consts[column->default_const];
            if (kind == KIND_ENUM) *cell = (Cell){ .kind = CELL_TEXT, .text = k->word < image->types[column->type].member_count ? image->types[column->type].members[k->word] : (Str){ 0 } };
            else if (kind_is_intlike(kind)) *cell = (Cell){ .kind = CELL_INT, .i = (int64_t)k->word };
            else *cell = (Cell){ .kind = CELL_TEXT, .text = k->bytes };
        } else if (kind == KIND_STRING) *cell = (Cell){ .kind = CELL_TEXT };
        else if (kind == KIND_INT && table->versioned) *cell = (Cell){ .kind = CELL_INT, .i = 1 };
        for (uint16_t s = 0; s < query->set_count; s++) {
            const QuerySet *set = &query->sets[s];
            if (set->column != c || set->value.count != 1 || set->value.items[0].op != QX_PARAM || set->value.items[0].arg >= request->arg_count) continue;
            uint16_t p = set->value.items[0].arg;
            err = rows_cell_of(image, request->effect->params[p], request->args[p], arena, cell, error);
        }
    }
    if (!err) err = rows_result(image, query, &rows, out, error);
    arena_free(arena);
    return err;
}

static Err fixture_query(Engine *engine, const Image *image, const VmRequest *request, const EnginePrincipal *who, Value *out, Error *error) {
    const Query *query = &image->queries[request->effect->target];
    StoreBatch *batch = store_batch(engine->store, who->tenant, (Str){ "", 0 }, 0);
    Arena *arena = store_batch_arena(batch);
    Cell *cells = ARENA_ARRAY(arena, Cell, query->param_count + 1u);
    Err err = ERR_OK;
    for (uint16_t i = 0; i < query->param_count && i < request->arg_count && !err; i++) err = rows_cell_of(image, request->effect->params[i], request->args[i], arena, &cells[i], error);
    int index = store_query(batch, image, request->effect->target, who->user, cells, query->param_count);
    if (!err) err = engine_sync(engine, batch, error);
    if (!err) err = rows_result(image, query, store_rows(batch, index), out, error);
    else if (err == ERR_CONFLICT && query->kind == QUERY_INSERT) err = meant_row(image, query, request, out, error);
    store_batch_free(batch);
    return err;
}

/* The same row has the same id each time the fixture is loaded, so loading it again, also after a crash half-way, adds nothing. */
static Value fixture_id(const Image *image, const VmRequest *request) {
    const ImageTable *table = &image->tables[request->effect->target];
    char prefix[IDS_TEXT_MAX], id[IDS_TEXT_MAX], row[32];
    snprintf(prefix, sizeof prefix, "%.*s", table->id_prefix.len < 40 ? (int)table->id_prefix.len : 40, table->id_prefix.ptr);
    snprintf(row, sizeof row, "%" PRIu64, request->id);
    ids_derived(prefix, image->funcs[request->func].name, str_of(row), id);
    return value_string(str_of(id));
}

static Err fixture_answer(Engine *engine, Image *image, const VmRequest *request, const EnginePrincipal *who, Value *out, Error *error) {
    out->w = 0;
    switch (request->effect->kind) {
    case EFFECT_QUERY_READ: case EFFECT_QUERY_WRITE: return fixture_query(engine, image, request, who, out, error);
    case EFFECT_TXN_BEGIN: case EFFECT_TXN_COMMIT: case EFFECT_TXN_ROLLBACK: return ERR_OK;
    case EFFECT_NEW_ID:
        if (!engine->options.script) return *out = fixture_id(image, request), ERR_OK;
        /* fall through */
    default: return perform_own(engine, image, request, (Str){ "fixture", 7 }, out) ? ERR_OK : err_set(error, ERR_UNSUPPORTED, "a fixture cannot ask for `%s`", effect_name(request->effect->kind));
    }
}

static Err run_fixture(Engine *engine, Image *image, uint16_t func, const EnginePrincipal *who, Error *error) {
    VmInfo info = { { "fixture", 7 }, who->tenant, who->user, image->funcs[func].name, { "", 0 }, who->user_name, { "", 0 } };
    VmRun *run = vm_new(image, func, NULL, &info, &engine->options.limits);
    Err err = ERR_OK;
    for (VmStatus status; !err && (status = vm_run(run)) != VM_DONE;) {
        VmRequest request;
        Value value = { 0 };
        uint64_t id = 0;
        if (status == VM_FAILED) {
            const Record *failure = (const Record *)vm_error(run).o;
            err = err_set(error, ERR_INVALID, "the fixture failed: %.*s", STR_ARG(failure ? value_str(failure->fields[ERROR_FIELD_MESSAGE]) : (Str){ 0 }));
        }
        while (!err && !id && vm_next_request(run, &request))
            if (!request.is_note) id = request.id, err = fixture_answer(engine, image, &request, who, &value, error);
        if (!err && !id && status == VM_BLOCKED) err = err_set(error, ERR_UNSUPPORTED, "a fixture waits for nothing");
        if (!err && id) vm_resume(run, id, value);
    }
    vm_free(run);
    return err;
}

Err engine_load_fixture(Engine *engine, Image *image, Str fixture, const EnginePrincipal *who, Error *error) {
    for (uint16_t i = 0; i < image->fixture_count; i++)
        if (str_eq(image->fixtures[i].name, fixture)) return run_fixture(engine, image, image->fixtures[i].func, who, error);
    return err_set(error, ERR_NOT_FOUND, "no fixture `%.*s` in this module", STR_ARG(fixture));
}

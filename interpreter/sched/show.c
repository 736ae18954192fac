/* show.c - a run's result as an operator may see it: fields labelled pii or secret are masked, as they are in the journal's texts. */
#include "interpreter/sched/engine.h"

Err engine_shown_result(Engine *engine, const RunRow *run, Buf *out, Error *error) {
    if (run->status != RUN_COMPLETED || !run->result_json.len) return buf_put_str(out, run->result_json), ERR_OK;
    Image *image = NULL;
    Err err = engine_image(engine, run->module_hash, &image, error);
    if (err) return err;
    const ImageFunc *func = run->func < image->func_count ? &image->funcs[run->func] : NULL;
    if (!func) return err_set(error, ERR_CORRUPT, "the run's module has no function %u", run->func);
    if (func->flags & (FUNC_FLAG_PII_RESULT | FUNC_FLAG_SECRET_RESULT)) return buf_put_text(out, "\"***\""), ERR_OK;
    Arena *arena = arena_new();
    Json *json = NULL;
    Value value = { 0 };
    err = json_parse(arena, run->result_json, 16 << 20, &json, error);
    if (!err) err = value_from_json(image, func->result, json, &value, error);
    if (!err) {
        value_to_json_redacted(image, func->result, value, out);
        if (kind_is_counted(image->types[func->result].kind)) value_release(value);
    }
    arena_free(arena);
    return err;
}

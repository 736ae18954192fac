/* webhook.c - signed requests of others: answered as soon as their run is durable, before it does anything. */
#include "interpreter/gateway/gateway_internal.h"

/* The secret is read at each request: a new one needs no restart, as far as the environment of a process can change. */
void webhook_serve(Call *call) {
    const ImageWebhook *hook = call->target->webhook;
    const char *secrets = webhook_secrets(hook);
    if (!secrets) { call_problem(call, PROBLEM_unavailable, "this webhook has no secret yet: set %.*s", STR_ARG(hook->secret_env)); return; }
    if (!plan_webhook(call->gateway->options.engine, call->target, call->request, str_of(secrets), call->arena, &call->plan, &call->reply)) { call_answer(call); return; }
    start_plan(call);
}

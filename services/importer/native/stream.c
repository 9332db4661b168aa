#include "stream.h"

#include "records.h"

#include <errno.h>
#include <stdlib.h>

const char READER_CAPSULE_NAME[] = "arrow_array_stream";

static CapsulePointer capsule_pointer;

/* What a stream owns. */
typedef struct {
    Plan *plan;
    Records *records;
} Source;

static void source_free(Source *source) {
    if (source == NULL) return;
    records_free(source->records);
    plan_free(source->plan);
    free(source);
}

static Source *source_new(const Plan *plan) {
    Source *source = calloc(1, sizeof *source);
    if (source == NULL) return NULL;
    source->plan = plan_copy(plan);
    if (source->plan != NULL) source->records = records_new(source->plan);
    if (source->records == NULL) return source_free(source), NULL;
    return source;
}

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
    return records_schema(((Source *)stream->private_data)->records, out) ? 0 : ENOMEM;
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
    return records_next(((Source *)stream->private_data)->records, out);
}

static const char *get_last_error(struct ArrowArrayStream *stream) {
    return records_error(((Source *)stream->private_data)->records);
}

static void release(struct ArrowArrayStream *stream) {
    source_free(stream->private_data);
    stream->release = NULL;
}

int64_t reader_abi(void) {
    return (int64_t)READER_ABI << 32 | (int64_t)sizeof(Plan) << 16 | (int64_t)sizeof(Field);
}

void reader_set_capsule_pointer(CapsulePointer function) { capsule_pointer = function; }

struct ArrowArrayStream *reader_open(const Plan *plan) {
    struct ArrowArrayStream *stream = malloc(sizeof *stream);
    Source *source = source_new(plan);
    if (stream == NULL || source == NULL) return free(stream), source_free(source), NULL;
    *stream = (struct ArrowArrayStream){get_schema, get_next, get_last_error, release, source};
    return stream;
}

void reader_close(struct ArrowArrayStream *stream) {
    /* A consumer that takes a stream over moves the structure and leaves no release in it. */
    if (stream->release != NULL) stream->release(stream);
    free(stream);
}

void reader_destroy_capsule(void *capsule) {
    struct ArrowArrayStream *stream = capsule_pointer(capsule, READER_CAPSULE_NAME);
    if (stream != NULL) reader_close(stream);
}

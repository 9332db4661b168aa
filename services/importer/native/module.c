/* The Python module: one function, which returns a staged file's records as an Arrow stream. */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030B0000
#include <Python.h>

#include "records.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STREAM "arrow_array_stream"

/* What a stream holds on to. */
typedef struct {
    Plan plan;
    Field *fields, *parts;
    Records *records;
} Source;

static void fields_free(Field *fields, int count) {
    for (int i = 0; fields != NULL && i < count; i++) {
        free((void *)fields[i].name);
        free((void *)fields[i].column);
    }
    free(fields);
}

static void source_free(Source *source) {
    if (source == NULL) return;
    records_free(source->records);
    fields_free(source->fields, source->plan.field_count);
    fields_free(source->parts, source->plan.part_count);
    free((void *)source->plan.path);
    free((void *)source->plan.ticker);
    free((void *)source->plan.row_field);
    free((void *)source->plan.kept);
    free(source);
}

/* The stream */

static int get_schema(struct ArrowArrayStream *stream, struct ArrowSchema *out) {
    return records_schema(((Source *)stream->private_data)->records, out) ? 0 : ENOMEM;
}

static int get_next(struct ArrowArrayStream *stream, struct ArrowArray *out) {
    return records_next(((Source *)stream->private_data)->records, out);
}

static const char *get_last_error(struct ArrowArrayStream *stream) {
    return records_error(((Source *)stream->private_data)->records);
}

static void release_stream(struct ArrowArrayStream *stream) {
    source_free(stream->private_data);
    stream->release = NULL;
}

static void destroy(PyObject *capsule) {
    struct ArrowArrayStream *stream = PyCapsule_GetPointer(capsule, STREAM);
    if (stream == NULL) return;
    /* Whoever has taken the stream over has left none here to release. */
    if (stream->release != NULL) stream->release(stream);
    free(stream);
}

static PyObject *capsule_of(Source *source) {
    struct ArrowArrayStream *stream = malloc(sizeof *stream);
    if (stream == NULL) return source_free(source), PyErr_NoMemory();
    *stream = (struct ArrowArrayStream){get_schema, get_next, get_last_error, release_stream, source};
    PyObject *capsule = PyCapsule_New(stream, STREAM, destroy);
    if (capsule == NULL) {
        release_stream(stream);
        free(stream);
    }
    return capsule;
}

/* Arguments */

static bool copied(const char **to, const char *text) {
    *to = text == NULL ? NULL : strdup(text);
    if (text != NULL && *to == NULL) PyErr_NoMemory();
    return text == NULL || *to != NULL;
}

static bool copied_bytes(const char **to, const char *bytes, Py_ssize_t size) {
    char *copy = bytes == NULL ? NULL : malloc((size_t)size + 1);
    if (bytes != NULL && copy == NULL) return PyErr_NoMemory(), false;
    if (copy != NULL) memcpy(copy, bytes, (size_t)size);
    *to = copy;
    return true;
}

static bool read_field(PyObject *item, Field *field) {
    const char *name, *column;
    int kind, is_required;
    if (!PyArg_ParseTuple(item, "ssCp", &name, &column, &kind, &is_required)) return false;
    field->name_size = strlen(name);
    field->kind = (Kind)kind;
    field->is_required = is_required != 0;
    return copied(&field->name, name) && copied(&field->column, column);
}

static bool read_fields(PyObject *items, Field **fields, int *count) {
    Py_ssize_t size = PyTuple_Size(items);
    if (size < 0) return false;
    *fields = calloc((size_t)size + 1, sizeof **fields);
    if (*fields == NULL) return PyErr_NoMemory(), false;
    *count = (int)size;
    for (Py_ssize_t i = 0; i < size; i++)
        if (!read_field(PyTuple_GetItem(items, i), &(*fields)[i])) return false;
    return true;
}

static bool read_arguments(PyObject *arguments, PyObject *names, Source *source) {
    static char *keywords[] = {"path",        "ticker",     "fields",     "row_field",  "parts", "least_parts", "rows", "kept",
                               "block_bytes", "batch_rows", "most_bytes", "most_depth", NULL};
    const char *path, *ticker, *row_field, *kept;
    Py_ssize_t kept_count;
    PyObject *fields, *parts;
    Plan *plan = &source->plan;
    int wants_rows;
    long long block_bytes, batch_rows, most_bytes;
    if (!PyArg_ParseTupleAndKeywords(arguments, names, "ssO!zO!ipz#LLLi", keywords, &path, &ticker, &PyTuple_Type,
                                     &fields, &row_field, &PyTuple_Type, &parts, &plan->least_parts,
                                     &wants_rows, &kept, &kept_count, &block_bytes, &batch_rows, &most_bytes, &plan->most_depth))
        return false;
    plan->wants_rows = wants_rows != 0;
    plan->kept_count = kept_count;
    plan->block_bytes = block_bytes;
    plan->batch_rows = batch_rows;
    plan->most_bytes = most_bytes;
    return copied(&plan->path, path) && copied(&plan->ticker, ticker) && copied(&plan->row_field, row_field) &&
           copied_bytes(&plan->kept, kept, kept_count) &&
           read_fields(fields, &source->fields, &plan->field_count) &&
           read_fields(parts, &source->parts, &plan->part_count);
}

static PyObject *stream(PyObject *module, PyObject *arguments, PyObject *names) {
    (void)module;
    Source *source = calloc(1, sizeof *source);
    if (source == NULL) return PyErr_NoMemory();
    if (!read_arguments(arguments, names, source)) return source_free(source), NULL;
    source->plan.fields = source->fields;
    source->plan.parts = source->parts;
    source->records = records_new(&source->plan);
    if (source->records == NULL) return source_free(source), PyErr_NoMemory();
    return capsule_of(source);
}

static PyMethodDef METHODS[] = {
    {"stream", (PyCFunction)(void (*)(void))stream, METH_VARARGS | METH_KEYWORDS,
     "Return a capsule with an Arrow stream of the records, or of the rows, of a staged file."},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot SLOTS[] = {{0, NULL}};

static PyModuleDef MODULE = {PyModuleDef_HEAD_INIT, .m_name = "_records", .m_methods = METHODS, .m_slots = SLOTS};

PyMODINIT_FUNC PyInit__records(void) { return PyModuleDef_Init(&MODULE); }

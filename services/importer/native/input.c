#include "input.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int input_open(Input *input, const char *path) {
    *input = (Input){.file = open(path, O_RDONLY | O_CLOEXEC)};
    return input->file < 0 ? errno : 0;
}

static int reserve(Input *input, size_t capacity) {
    if (input->capacity >= capacity) return 0;
    uint8_t *block = realloc(input->block, capacity + 1);
    if (block == NULL) return ENOMEM;
    input->block = block;
    input->capacity = capacity;
    return 0;
}

int input_refill(Input *input, size_t block_bytes) {
    size_t left = input->size - input->at;
    if (left > 0 && input->at > 0) memmove(input->block, input->block + input->at, left);
    input->before += (int64_t)input->at;
    input->at = 0;
    input->size = left;
    int error = reserve(input, 2 * left + block_bytes);
    if (error) return error;
    while (input->size < input->capacity && !input->has_ended) {
        ssize_t more = read(input->file, input->block + input->size, input->capacity - input->size);
        if (more < 0 && errno == EINTR) continue;
        if (more < 0) return errno;
        input->has_ended = more == 0;
        input->size += (size_t)more;
    }
    input->block[input->size] = 0;
    return 0;
}

void input_close(Input *input) {
    if (input->file >= 0) close(input->file);
    free(input->block);
    *input = (Input){.file = -1};
}

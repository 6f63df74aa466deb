/* Runs a fuzz target over every file of its corpus, so that each build checks what the fuzzers once found. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static int replay_file(const char *dir, const char *name)
{
    char path[4096];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = n > 0 && (size_t)n < sizeof path ? fopen(path, "rb") : NULL;
    if (!file) {
        fprintf(stderr, "cannot read %s/%s\n", dir, name);
        return 1;
    }
    static uint8_t bytes[1 << 20];
    size_t len = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    uint8_t *exact = malloc(len ? len : 1); /* exactly as long as the input, so that a read past it is caught */
    if (!exact)
        return 1;
    for (size_t i = 0; i < len; i++)
        exact[i] = bytes[i];
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 2) {
        fprintf(stderr, "usage: %s CORPUS-DIRECTORY\n", argv[0]);
        return 2;
    }
    DIR *dir = opendir(argv[1]);
    if (!dir) {
        fprintf(stderr, "no corpus in %s\n", argv[1]);
        return 1;
    }
    int num_files = 0, failed = 0;
    for (struct dirent *entry; (entry = readdir(dir));)
        if (entry->d_name[0] != '.') {
            failed += replay_file(argv[1], entry->d_name);
            num_files++;
        }
    closedir(dir);
    printf("%d inputs replayed\n", num_files);
    return failed || num_files == 0;
}

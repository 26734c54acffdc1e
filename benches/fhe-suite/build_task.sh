#!/usr/bin/env bash
# What the harness calls to build a submission, with the submission's folder, which it names by the data set or by the model, as its
# version has it: to be linked as scripts/build_task.sh of the suite.
set -euo pipefail
case $(basename "$1") in
    mnist* | mlp*) data_set=mnist ;;
    cifar10* | resnet*) data_set=cifar10 ;;
    *)
        echo "$1: expected a folder for mnist or cifar10" >&2
        exit 2
        ;;
esac
exec "$(dirname "$(readlink -f "$0")")/install" "$data_set" "$1"

// SPDX-License-Identifier: GPL-3.0-or-later
// SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

// Command kubernetes holds every Kubernetes program of the development cluster in one binary and
// picks one by its own name (a link called kubectl) or by its first argument. One link step instead
// of six, and the packages they share are loaded from disk once.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/logs/json/register"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	kubectl "k8s.io/kubectl/pkg/cmd"
	"k8s.io/kubectl/pkg/cmd/util"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/pkg/controller/job"
)

// The Job controller gathers a Job's events for a second, twice before a Job is complete: kind to a
// cluster of thousands of Jobs, and most of a short Job's time here. Kubernetes' own tests lower the
// same variable.
const jobBatchPeriod = 50 * time.Millisecond

var programs = map[string]func() *cobra.Command{
	"kube-apiserver":          apiserver.NewAPIServerCommand,
	"kube-controller-manager": controllermanager.NewControllerManagerCommand,
	"kube-proxy":              proxy.NewProxyCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
	"kubectl":                 kubectl.NewDefaultKubectlCommand,
	"kubelet":                 func() *cobra.Command { return kubelet.NewKubeletCommand(context.Background()) },
}

func names() string {
	var all []string
	for name := range programs {
		all = append(all, name)
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

func main() {
	name := filepath.Base(os.Args[0])
	if _, known := programs[name]; !known && len(os.Args) > 1 {
		name = os.Args[1]
		os.Args = os.Args[1:]
	}
	build, known := programs[name]
	if !known {
		fmt.Fprintf(os.Stderr, "expected one of %s as the program's name or first argument\n", names())
		os.Exit(2)
	}
	job.SyncJobBatchPeriod = jobBatchPeriod
	if name != "kubectl" {
		os.Exit(cli.Run(build()))
	}
	// kubectl prints errors and chooses its exit status in its own way.
	util.CheckErr(cli.RunNoErrOutput(build()))
}

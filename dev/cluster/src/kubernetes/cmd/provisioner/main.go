// SPDX-License-Identifier: GPL-3.0-or-later
// SPDX-FileCopyrightText: 2026 The homelab.postgres_backup developers

// Command provisioner makes volumes the way an NFS subdirectory provisioner does: one folder below a
// shared directory for each claim, mode 0777, the same on every node, so that claims bind at once.
// They are hostPath volumes; the kubelet does not apply an fsGroup to those, as it does not to NFS.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/klog/v2"
	"sigs.k8s.io/sig-storage-lib-external-provisioner/v13/controller"
)

type sharedDirectory struct {
	path string
}

var _ controller.Provisioner = sharedDirectory{}

// Provision makes the claim's folder and returns the volume for it.
func (shared sharedDirectory) Provision(_ context.Context, options controller.ProvisionOptions) (*v1.PersistentVolume, controller.ProvisioningState, error) {
	claim := options.PVC
	if mode := claim.Spec.VolumeMode; mode != nil && *mode != v1.PersistentVolumeFilesystem {
		return nil, controller.ProvisioningFinished, fmt.Errorf("expected volumeMode Filesystem, found %s", *mode)
	}
	folder := filepath.Join(shared.path, strings.Join([]string{claim.Namespace, claim.Name, options.PVName}, "-"))
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	// The umask does not apply to chmod.
	if err := os.Chmod(folder, 0o777); err != nil {
		return nil, controller.ProvisioningFinished, err
	}
	directory := v1.HostPathDirectory
	filesystem := v1.PersistentVolumeFilesystem
	volume := &v1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: options.PVName},
		Spec: v1.PersistentVolumeSpec{
			PersistentVolumeReclaimPolicy: *options.StorageClass.ReclaimPolicy,
			AccessModes:                   claim.Spec.AccessModes,
			MountOptions:                  options.StorageClass.MountOptions,
			VolumeMode:                    &filesystem,
			Capacity:                      v1.ResourceList{v1.ResourceStorage: claim.Spec.Resources.Requests[v1.ResourceStorage]},
			PersistentVolumeSource: v1.PersistentVolumeSource{
				HostPath: &v1.HostPathVolumeSource{Path: folder, Type: &directory},
			},
		},
	}
	return volume, controller.ProvisioningFinished, nil
}

// Delete removes the folder of a volume that Provision made, and nothing else.
func (shared sharedDirectory) Delete(_ context.Context, volume *v1.PersistentVolume) error {
	source := volume.Spec.HostPath
	if source == nil || filepath.Dir(source.Path) != shared.path {
		return fmt.Errorf("expected volume %s to be a folder in %s", volume.Name, shared.path)
	}
	return os.RemoveAll(source.Path)
}

func run(ctx context.Context) error {
	kubeconfig := flag.String("kubeconfig", "", "file that says how to reach the API server")
	directory := flag.String("directory", "", "shared directory to make the folders in (an absolute path)")
	name := flag.String("name", "", "provisioner name that the storage classes give")
	flag.Parse()
	if *kubeconfig == "" || *name == "" || !filepath.IsAbs(*directory) {
		return errors.New("expected --kubeconfig, --name and an absolute --directory")
	}
	config, err := clientcmd.BuildConfigFromFlags("", *kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	controller.NewProvisionController(ctx, client, *name, sharedDirectory{filepath.Clean(*directory)},
		controller.LeaderElection(false),
		controller.MetricsPort(0),
		controller.RateLimiter(workqueue.NewTypedItemExponentialFailureRateLimiter[string](time.Second, 30*time.Second)),
		controller.RetryIntervalMax(time.Minute),
	).Run(ctx)
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		klog.ErrorS(err, "The provisioner cannot run")
		klog.FlushAndExit(klog.ExitFlushTimeout, 1)
	}
}

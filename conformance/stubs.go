package conformance

var configChecks, rootChecks, mountChecks, processChecks, userChecks, hostnameChecks, hookChecks, annotationChecks, namespaceChecks, deviceChecks, netDeviceChecks, cgroupChecks, sysctlChecks, seccompChecks, pathChecks, personalityChecks, featuresChecks []Check

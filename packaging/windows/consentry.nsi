; The installer for one user, who needs no rights for it. scripts/package.sh
; defines VERSION, NUMBER (1.2.3), STAGE (programs and icon) and OUT; SIGN, if
; given, is a command that signs the file whose name is added to it.
; Without a person: consentry-setup.exe /S [/NORUN]
Unicode true
Target amd64-unicode
!include LogicLib.nsh
!include FileFunc.nsh
!include StrFunc.nsh
!include WinMessages.nsh
${Using:StrFunc} StrStr
${Using:StrFunc} UnStrRep

!define UNINSTALL "Software\Microsoft\Windows\CurrentVersion\Uninstall\Consentry"
!define RUN "Software\Microsoft\Windows\CurrentVersion\Run"
!define APPROVED "Software\Microsoft\Windows\CurrentVersion\Explorer\StartupApproved\Run"
!define LONGEST 900 ; of a Path that is changed: strings here end at 1,024

Name "Consentry"
OutFile "${OUT}"
InstallDir "$LOCALAPPDATA\Programs\Consentry"
RequestExecutionLevel user
ManifestDPIAware true
ManifestSupportedOS Win10
SetCompressor /SOLID zlib ; lzma takes ten times as long for a fifth less
Icon "${STAGE}/consentry.ico"
UninstallIcon "${STAGE}/consentry.ico"
VIProductVersion "${NUMBER}.0"
VIAddVersionKey ProductName "Consentry"
VIAddVersionKey ProductVersion "${VERSION}"
VIAddVersionKey FileVersion "${NUMBER}"
VIAddVersionKey FileDescription "Installs Consentry"
VIAddVersionKey LegalCopyright "Consentry authors, Apache-2.0"
!ifdef SIGN
  !finalize '${SIGN} "%1"'
  !uninstfinalize '${SIGN} "%1"'
!endif

Page components
Page instfiles
UninstPage uninstConfirm
UninstPage instfiles

; Files of programs that run cannot be replaced. An agent that is ended so is as
; one after a power failure: its apps end with it, its store is whole.
!macro end
  nsExec::Exec 'taskkill /F /IM consentry-tray.exe'
  Pop $0
  nsExec::Exec 'taskkill /F /IM consentry-agent.exe'
  Pop $0
!macroend

!macro environmentChanged
  SendMessage ${HWND_BROADCAST} ${WM_WININICHANGE} 0 "STR:Environment" /TIMEOUT=2000
!macroend

Section "Consentry" Programs
  SectionIn RO
  !insertmacro end
  SetOutPath "$INSTDIR"
  File "${STAGE}/consentry.exe" "${STAGE}/consentry-agent.exe" "${STAGE}/consentry-tray.exe" "${STAGE}/consentry.ico"
  WriteUninstaller "$INSTDIR\uninstall.exe"
  CreateShortcut "$SMPROGRAMS\Consentry.lnk" "$INSTDIR\consentry-tray.exe" "" "$INSTDIR\consentry.ico"
  WriteRegStr HKCU "${UNINSTALL}" "DisplayName" "Consentry"
  WriteRegStr HKCU "${UNINSTALL}" "DisplayVersion" "${VERSION}"
  WriteRegStr HKCU "${UNINSTALL}" "DisplayIcon" "$INSTDIR\consentry.ico"
  WriteRegStr HKCU "${UNINSTALL}" "Publisher" "Consentry"
  WriteRegStr HKCU "${UNINSTALL}" "InstallLocation" "$INSTDIR"
  WriteRegStr HKCU "${UNINSTALL}" "UninstallString" '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKCU "${UNINSTALL}" "QuietUninstallString" '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD HKCU "${UNINSTALL}" "NoModify" 1
  WriteRegDWORD HKCU "${UNINSTALL}" "NoRepair" 1

  ReadRegStr $0 HKCU "Environment" "Path"
  StrLen $1 $0
  ${StrStr} $2 ";$0;" ";$INSTDIR;"
  ${If} $1 > ${LONGEST}
    DetailPrint "Your Path is too long to be changed here: add $INSTDIR to it"
  ${ElseIf} $2 == ""
    ${If} $0 != ""
      StrCpy $0 "$0;"
    ${EndIf}
    WriteRegExpandStr HKCU "Environment" "Path" "$0$INSTDIR"
    !insertmacro environmentChanged
  ${EndIf}
SectionEnd

Section "Start at login" AtLogin
  WriteRegStr HKCU "${RUN}" "Consentry" '"$INSTDIR\consentry-tray.exe"'
SectionEnd

Function .onInit
  ReadRegStr $0 HKCU "Software\Consentry" "MSI"
  ${If} $0 != ""
    MessageBox MB_OK|MB_ICONSTOP "Consentry was installed by its MSI package. Remove that first, or update with the new one." /SD IDOK
    SetErrorLevel 2
    Quit
  ${EndIf}
  ; Who has turned it off since the last time keeps it so.
  ReadRegStr $0 HKCU "${UNINSTALL}" "UninstallString"
  ReadRegStr $1 HKCU "${RUN}" "Consentry"
  ${GetParameters} $2
  ClearErrors
  ${GetOptions} $2 "/NORUN" $3
  ${IfNot} ${Errors}
  ${OrIf} $0 != ""
  ${AndIf} $1 == ""
    SectionSetFlags ${AtLogin} 0
  ${EndIf}
FunctionEnd

Section "Uninstall"
  !insertmacro end
  Delete "$INSTDIR\consentry.exe"
  Delete "$INSTDIR\consentry-agent.exe"
  Delete "$INSTDIR\consentry-tray.exe"
  Delete "$INSTDIR\consentry.ico"
  Delete "$INSTDIR\uninstall.exe"
  RMDir "$INSTDIR"
  Delete "$SMPROGRAMS\Consentry.lnk"
  DeleteRegValue HKCU "${RUN}" "Consentry"
  DeleteRegValue HKCU "${APPROVED}" "Consentry"
  DeleteRegKey HKCU "${UNINSTALL}"
  ; What the tray registers for its notifications.
  DeleteRegKey HKCU "Software\Classes\AppUserModelId\Consentry"
  DeleteRegKey HKCU "Software\Classes\CLSID\${TOASTS}"

  ReadRegStr $0 HKCU "Environment" "Path"
  StrLen $1 $0
  ${If} $1 <= ${LONGEST}
    ${UnStrRep} $2 ";$0;" ";$INSTDIR;" ";"
    ${If} $2 != ";$0;"
      StrCpy $2 $2 "" 1 ; the ; that was added before
      StrCpy $2 $2 -1   ; and behind
      ${If} $2 == ""
        DeleteRegValue HKCU "Environment" "Path"
      ${Else}
        WriteRegExpandStr HKCU "Environment" "Path" "$2"
      ${EndIf}
      !insertmacro environmentChanged
    ${EndIf}
  ${EndIf}
SectionEnd
